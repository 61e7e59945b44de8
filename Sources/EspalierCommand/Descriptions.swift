import Espalier

extension JSONValue {
  /// A space or strategy as the lists give it.
  static func description(
    name: String, summary: String, paper: String, parameters: [SettingDescription]
  ) -> JSONValue {
    var object = JSONObject()
    for item in parameters {
      var entry: JSONObject = [
        "default": .string(item.defaultValue), "summary": .string(item.summary),
      ]
      if let value = item.retrainingDefault { entry["retraining_default"] = .string(value) }
      if let value = item.colourDefault { entry["colour_default"] = .string(value) }
      object[item.name] = .object(entry)
    }
    return .object([
      "name": .string(name), "summary": .string(summary), "paper": .string(paper),
      "parameters": .object(object),
    ])
  }

  /// Settings as a table for people.
  static func table(of settings: [SettingDescription], title: String) -> String {
    var table = Table([title, "default", "what"])
    for item in settings {
      let others = [
        item.retrainingDefault.map { ", retraining \($0)" },
        item.colourDefault.map { ", colour images \($0)" },
      ]
      table.add([
        item.name, item.defaultValue + others.compactMap { $0 }.joined(), item.summary,
      ])
    }
    let hasColour = settings.contains { $0.colourDefault != nil }
    return table.text + (hasColour ? "\ncolour images: those of at least 32 pixels" : "")
  }
}

extension ImageShape {
  /// Reads `3x32x32`.
  init(text: String) throws(UsageError) {
    let parts = text.split(separator: "x").compactMap { Int($0) }
    guard parts.count == 3, parts[0] == 1 || parts[0] == 3,
      (1...1024).contains(parts[1]), (1...1024).contains(parts[2])
    else {
      throw UsageError("--image \(text): expected channels x height x width, such as 3x32x32")
    }
    self.init(channels: parts[0], height: parts[1], width: parts[2])
  }
}
