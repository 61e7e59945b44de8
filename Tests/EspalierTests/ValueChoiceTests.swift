import Testing

@testable import Espalier

@Suite("ValueChoice", .seededWeights)
struct ValueChoiceTests {
  private let description = ChoiceDescription(
    key: "width", kind: .value, candidateNames: ["8", "16", "1"])

  private func resolve(_ json: String) throws -> [Int] {
    try #require(
      try Architecture(parsing: Array("{\"width\": \(json)}".utf8), source: "a.json")
        .resolved(against: [description])["width"]
    ).active
  }

  private func complaint(_ json: String) -> String {
    do {
      return "\(try resolve(json))"
    } catch { return "\(error)" }
  }

  @Test("A number is written as its text, and read back as the same candidate")
  func roundTrip() throws {
    for index in 0..<3 {
      let value = description.exported(ResolvedChoice(active: [index]))
      #expect(value == .name(description.candidateNames[index]))
      #expect(try resolve(value.json.compactText) == [index])
    }
    let rates = ValueChoice([0.1, 2, 1e-5]).description(key: "rate")
    #expect(rates.candidateNames == ["0.1", "2.0", "1e-05"])
    // A list of layers still exports positions.
    let layers = ChoiceDescription(key: "n", kind: .layer, candidateNames: ["0", "1"])
    #expect(layers.exported(ResolvedChoice(active: [1])) == .index(1))
  }

  @Test("An integer is a position, unless it could be meant as a number")
  func integers() throws {
    #expect(try resolve("0") == [0])
    #expect(try resolve("2") == [2])
    #expect(try resolve("[true, false, false]") == [0])
    #expect(try resolve("[\"16\"]") == [1])
    #expect(
      complaint("1")
        == "a.json: key 'width': 1 may be a number or a position, write \"1\" for the number, "
        + "\"16\" for position 1; valid: 8, 16, 1")
    #expect(complaint("16").contains("write \"16\" for the number; valid"))
    #expect(complaint("7").contains("is out of range, expected 0 to 2"))
  }

  @Test("Exactly one number is taken; what is no candidate is refused with the valid ones")
  func refusals() {
    #expect(complaint("[]").contains("takes 0, expected exactly 1"))
    #expect(complaint("[0, 2]").contains("takes 2, expected exactly 1"))
    #expect(complaint("\"17\"").contains("unknown candidate"))
    let rates = ChoiceDescription(key: "r", kind: .value, candidateNames: ["0.25", "0.5"])
    #expect {
      try Architecture(parsing: Array("{\"r\": 0.25}".utf8), source: "a.json")
        .resolved(against: [rates])
    } throws: { "\($0)".contains("numbers are written as text: \"0.25\"") }
  }

  @Test("The forward pass reads number, whole number or text; until something is decided the first")
  func reading() throws {
    let (rate, count, name) = (
      ValueChoice([0.25, 3]), ValueChoice([4, 5]), ValueChoice(["relu", "tanh"])
    )
    let model = Model(["rate": rate, "count": count, "name": name]) { x in
      let y = x * Float(rate.number) + Float(count.integer)
      return name.text == "tanh" ? tanh(y) : relu(y)
    }
    let x = try Tensor([-20, 1] as [Float], shape: [1, 2])
    #expect(try model(x).scalars() == [0, 4.25] as [Float])
    let space = try SearchSpace(of: model, input: [2])
    #expect(throws: SpaceError.readOnHost(key: "rate")) { try space.requireMixable() }
    let choices = ["rate": 1, "count": 1, "name": 0].mapValues { ResolvedChoice(active: [$0]) }
    let y = try space.with(space.sampledDecisions(choices)) { try model(x).scalars() as [Float] }
    #expect(y == [0, 8])
    try model.apply(["rate": .name("3.0"), "count": .name("5"), "name": .name("relu")])
    #expect(try model(x).scalars() == [0, 8] as [Float])
    #expect(rate.number == 3 && count.integer == 5 && name.text == "relu")
  }

  @Test("A choice made in the forward pass is refused by its candidates")
  func stranger() {
    let model = Model([:]) { x in x * Float(ValueChoice([1, 2]).integer) }
    #expect(throws: SpaceError.strangers(["ValueChoice of [\"1\", \"2\"]"])) {
      _ = try SearchSpace(of: model, input: [2])
    }
  }

  @Test("print(model) shows the candidates, then the chosen one")
  func text() throws {
    let net = Sequential(ElasticConv2d(1, .chosen(ValueChoice([2, 4], key: "w")), kernelSize: 3))
    #expect("\(net)".contains("outputChannels: ValueChoice 'w', one of 2, 4"))
    #expect("\(net)".contains("total: 1 choice, 40 parameters"))
    try net.apply(["w": .name("2")])
    #expect("\(net)".contains("ValueChoice 'w'; chosen: 2"))
    #expect("\(net)".contains("total: 1 choice, 20 parameters"))
  }
}
