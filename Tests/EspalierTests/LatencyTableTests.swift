import Foundation
import Testing

@testable import Espalier

@Suite("Latency tables", .seededWeights)
struct LatencyTableTests {
  private func measured(_ net: any Layer, batch: Int = 2) throws -> LatencyTable {
    var table = LatencyTable(
      space: "toy, \"nested\"", settings: "a=1 b=2", device: "cpu", batch: batch)
    var measurement = try LatencyMeasurement(
      of: net, image: CostNets.image, batch: batch, runs: 3)
    var calls: [Int] = []
    try measurement.measure(into: &table) { done, count in
      calls.append(done)
      #expect(done <= count)
    }
    #expect(calls == Array(0...table.rows.count))
    return table
  }

  /// The same rows with seconds of which every sum is another one.
  private func numbered(_ table: LatencyTable) -> LatencyTable {
    var result = LatencyTable(
      space: table.space, settings: table.settings, device: table.device, batch: table.batch)
    for (number, row) in table.rows.enumerated() {
      var row = row
      row.seconds = Double(1 << number)
      result.append(row)
    }
    return result
  }

  @Test(
    "Each computation at each shape is a row, named after where it occurs first; skips are none")
  func rows() throws {
    let table = try measured(CostNets.nested())
    #expect(
      table.rows.map { "\($0.choice) \($0.candidate) \($0.input)" } == [
        "network fixed 1x4x4", "outer plain 1x4x4", "outer deep 1x4x4", "inner one 2x4x4",
        "inner three 2x4x4", "outer plain 2x4x4",
      ])
    // "twice conv" computes what "inner one" does.
    #expect(Set(table.rows.map(\.operation)).count == table.rows.count)
    #expect(table.rows.allSatisfy { $0.seconds >= 0 && $0.seconds < 1 })
    #expect(table.rows[1].operation.contains("conv2d+"))
  }

  @Test("An architecture's latency is the sum over what it runs, and its expected value agrees")
  func sums() throws {
    let table = numbered(try measured(CostNets.nested()))
    let costs = try ArchitectureCosts(
      image: CostNets.image, latency: table, network: CostNets.nested)
    func latency(_ outer: Int, _ inner: Int, _ twice: Int) throws -> Double {
      try costs.exact(
        ["outer": outer, "inner": inner, "twice": twice].mapValues { ResolvedChoice(active: [$0]) },
        .latency)
    }
    #expect(try latency(0, 0, 1) == 1 + 2)
    #expect(try latency(0, 1, 0) == 1 + 2 + 2 * 8)
    // The same key inside itself takes "skip".
    #expect(try latency(1, 0, 1) == 1 + 4 + 8)
    #expect(try latency(1, 1, 0) == 1 + 4 + 16 + 2 * 8)
    let weights = try ["outer": [0.25, 0.75], "inner": [0.5, 0.5], "twice": [0.9, 0.1]].mapValues {
      try Tensor($0)
    }
    // 1 + 0.25·2 + 0.75·(4 + (8 + 16) / 2) + 0.9·2·8
    #expect(abs(try costs.expected(weights: weights, .latency).item() - 27.9) < 1e-5)
    #expect(try costs.exact(["outer": ResolvedChoice(active: [0])]).keys.contains(.latency))
  }

  @Test("A table written and read again is the same, and the same network finds all its rows")
  func roundTrip() throws {
    try withTemporaryFolder { folder in
      let table = try measured(CostNets.switched())
      let path = "\(folder)/latency.csv"
      try table.text.write(toFile: path, atomically: true, encoding: .utf8)
      let read = try LatencyTable(path: path)
      #expect(read == table)
      #expect(read.fingerprint == table.fingerprint)
      let costs = try ArchitectureCosts(
        image: CostNets.image, latency: read, network: CostNets.switched)
      try costs.requireReachable(CostLimits())
    }
  }

  @Test("A missing entry names choice, candidate, shape and remedy")
  func missing() throws {
    let costs = try ArchitectureCosts(
      image: CostNets.image, latency: try measured(CostNets.switched()),
      network: CostNets.nested)
    do {
      try costs.requireReachable(CostLimits())
      Issue.record("a table of another network")
    } catch {
      let text = "\(error)"
      #expect(text.contains("no row for what is fixed of the network at input 1x4x4"))
      #expect(text.contains("espalier latency"))
    }
    var partial = LatencyTable(space: "", device: "cpu", batch: 1)
    for row in try measured(CostNets.nested()).rows where row.candidate != "three" {
      partial.append(row)
    }
    let other = try ArchitectureCosts(
      image: CostNets.image, latency: partial, network: CostNets.nested)
    #expect(
      throws: LatencyError.missing(
        choice: "inner", candidate: "three", input: "2x4x4", device: "cpu")
    ) { try other.requireReachable(CostLimits()) }
  }

  @Test("Equal shapes are not equal operations: a dilated convolution is another row")
  func attributes() throws {
    let net = LayerChoice(
      [
        "dense": Conv2d(1, 2, kernelSize: 3, padding: 1),
        "dilated": Conv2d(1, 2, kernelSize: 3, padding: 2, dilation: 2),
      ], key: "choice")
    let table = try measured(net)
    #expect(table.rows.map(\.candidate) == ["dense", "dilated"])
  }

  @Test("What is no table is refused, with the file and the row")
  func damaged() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/table.csv"
      let good = try measured(CostNets.switched()).text
      let lines = good.split(separator: "\n").map(String.init)
      func expect(_ text: String, _ message: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        do {
          _ = try LatencyTable(path: path)
          Issue.record("read: \(text)")
        } catch {
          #expect("\(error)".contains(message) && "\(error)".contains(path), "\(error)")
        }
      }
      try expect("a,b\n1,2\n", "found the columns a,b")
      try expect(good + lines[1] + "\n", "there twice")
      try expect(good.replacing(lines[2], with: lines[2] + "x"), "row 2: found")
      try expect(
        good.replacing(lines[2], with: lines[2].replacing(",cpu,", with: ",gpu,")),
        "measured otherwise")
    }
  }
}

@Suite("Published latency tables", .seededWeights)
struct PublishedLatencyTests {
  private func table(_ name: String) throws -> PublishedLatencies {
    try PublishedLatencies(path: fixtures + "latency/" + name)
  }

  @Test("once-for-all's net for 30 ms on a Note10 sums to 30.0 ms")
  func onceForAll() throws {
    guard
      case .object(let net) = try JSONValue(
        parsing: Array(bytes(fixtures + "latency/ofa_note10_30ms.json"))),
      case .array(let list)? = net["keys"]
    else { throw RunError("no keys") }
    let keys = list.compactMap { value -> String? in
      if case .string(let key) = value { key } else { nil }
    }
    #expect(keys.count == 21)
    let sum = try table("ofa_note10_224.csv").sum(keys)
    #expect(String(format: "%.1f", sum * 1000) == "30.0")
  }

  @Test("The other tables are read by their headers, in seconds")
  func others() throws {
    let pixel = try table("proxylessnas_mobile_pixel1.csv")
    #expect(
      abs(try pixel.sum(["Logits-input:7x7x1280-output:1000"]) - 0.3096415478615071e-3) < 1e-12)
    let blocks = try table("tfnas_latency.csv")
    #expect(abs(try blocks.sum(["gpu_titan_rtx_bs32/base/"]) - 1.985807514190674e-3) < 1e-12)
    // A fitted line below 0.
    let narrow = "gpu_titan_rtx_bs32/MBInvertedResBlock_112_16_0_24_k3_s2_relu/1"
    #expect(try blocks.sum([narrow]) == 0)
    let nets = try table("help_fbnet5000_latency.csv")
    #expect(try nets.sum(["raspi4/7818488874147327324245"]) == 30.2529e-3)
  }

  @Test("FBNet's kind of table counts layers and names candidates, in microseconds")
  func layers() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/lut.txt"
      try "k3_e1 k5_e6 skip\n10 20.5 0\n1 2 3\n".write(
        toFile: path, atomically: true, encoding: .utf8)
      let table = try PublishedLatencies(layersOf: path)
      #expect(abs(try table.sum(["0/k5_e6", "1/skip"]) - 23.5e-6) < 1e-15)
      #expect(try PublishedLatencies(layersOf: path, unit: 1).seconds["1/k5_e6"] == 2)
      do {
        _ = try table.sum(["0/k5_e5"])
        Issue.record("no such row")
      } catch {
        #expect("\(error)".contains("no row 0/k5_e5, did you mean 0/k5_e6?"))
      }
      try "k3 k5\n1\n".write(toFile: path, atomically: true, encoding: .utf8)
      #expect(throws: LatencyError.self) { try PublishedLatencies(layersOf: path) }
    }
  }

  @Test("What is no published table is refused")
  func refused() throws {
    #expect(throws: LatencyError.self) {
      try PublishedLatencies(path: fixtures + "nas_bench_201_costs.csv")
    }
  }
}
