import EspalierNN

/// Networks of the ProxylessNAS space in the notations of other systems.
///
/// In both a layer that is left out does not appear in its place: it becomes `skip`.
enum MobileNotation {
  /// Blocks of stages 2 to 7, at most.
  private static let blocks = [2: 4, 3: 4, 4: 4, 5: 4, 6: 4, 7: 1]

  /// The architecture of a mapping in either notation; nil when it is in none.
  static func architecture(
    _ object: JSONObject, source: String
  ) throws(ArchitectureError) -> Architecture? {
    if let labelled = try architecture(labels: object, source: source) { return labelled }
    return try architecture(network: object, source: source)
  }

  /// NNI 3's labels: `s2_depth` says how many blocks stage 2 has, `s2_i0` which the first one is.
  ///
  /// - Parameter object: A mapping from label to choice.
  /// - Returns: A choice for every layer; nil when no key is a depth.
  private static func architecture(
    labels object: JSONObject, source: String
  ) throws(ArchitectureError) -> Architecture? {
    guard blocks.keys.contains(where: { object["s\($0)_depth"] != nil }) else { return nil }
    var architecture = Architecture()
    architecture.source = source
    for key in object.keys where !key.hasSuffix("_depth") {
      architecture[key] = object[key].map { ChoiceValue($0) }
    }
    for (stage, longest) in blocks {
      let key = "s\(stage)_depth"
      guard let value = object[key] else { continue }
      guard case .integer(let depth) = value, (1...longest).contains(depth) else {
        throw .value(
          file: source, key: key, found: String(value.compactText.prefix(80)),
          reason: "is no number of blocks", valid: (1...longest).map(String.init))
      }
      for number in depth..<max(longest, depth) {
        architecture["s\(stage)_i\(number)"] = .name("skip")
      }
    }
    return architecture
  }

  /// The authors' network description: a list of blocks with their sizes.
  ///
  /// A change of width or a stride begins a stage; the first block is not searched.
  ///
  /// - Parameter object: A mapping with `blocks`.
  /// - Returns: A choice for every layer; nil when there is no list of blocks.
  private static func architecture(
    network object: JSONObject, source: String
  ) throws(ArchitectureError) -> Architecture? {
    guard case .array(let list)? = object["blocks"] else { return nil }
    var architecture = Architecture()
    architecture.source = source
    var (stage, number) = (1, 0)
    for (index, block) in list.enumerated().dropFirst() {
      guard let block = Block(block) else {
        throw .value(
          file: source, key: "blocks.\(index)", found: String(block.compactText.prefix(80)),
          reason: "is no inverted residual block",
          valid: ["input and output channels, kernel, stride and expansion", "a zero layer"])
      }
      if block.beginsStage { (stage, number) = (stage + 1, 0) }
      architecture["s\(stage)_i\(number)"] = .name(block.name)
      number += 1
    }
    return architecture
  }

  /// One block of a network description.
  private struct Block {
    var name = "skip"
    var beginsStage = false

    init?(_ json: JSONValue) {
      guard case .object(let object) = json else { return nil }
      var layer = object
      if case .object(let inner)? = object["mobile_inverted_conv"] { layer = inner }
      if layer["name"] == .string("ZeroLayer") || layer["op"] == .string("zero") { return }
      func number(_ names: String...) -> Int? {
        for name in names { if case .integer(let value)? = layer[name] { return value } }
        return nil
      }
      guard let from = number("in_channels", "in"), let to = number("out_channels", "out"),
        let size = number("kernel_size", "k"), let stride = number("stride", "s"),
        let expansion = number("expand_ratio", "e")
      else { return nil }
      name = "k\(size)e\(expansion)"
      beginsStage = from != to || stride != 1
    }
  }
}
