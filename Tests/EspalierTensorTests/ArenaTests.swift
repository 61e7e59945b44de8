import Foundation
import Testing

@testable import EspalierTensor

/// Each with a process of its own: arenas are of the process.
@Suite("Arenas and their chunks")
struct ArenaTests {
  /// Losses and gradients of a small network, several blocks long.
  static func train() throws -> [Float] {
    let first = try Variable(
      (0..<216).map { Float($0 % 13) / 32 - 0.1 }, shape: [8, 3, 3, 3], isConvolutionWeight: true)
    let second = try Variable(
      (0..<576).map { Float($0 % 11) / 64 - 0.05 }, shape: [8, 8, 3, 3], isConvolutionWeight: true)
    let x = try Tensor((0..<6144).map { Float($0 % 17) / 8 - 1 }, shape: [8, 3, 16, 16])
    var found: [Float] = []
    for number in 0..<3 {
      let (loss, gradients) = try valueAndGradient(wrt: [first, second]) { () -> Tensor in
        var y = relu(batchNorm(conv2d(x, first.tensor, padding: 1)))
        for k in 0..<6 {
          ChoiceMarks.begin(key: "choice\(k)", inputs: [y])
          let z =
            (k + number) % 3 == 0 ? y : relu(batchNorm(conv2d(y, second.tensor, padding: 1)))
          let left = ChoiceMarks.leave(z, carriesGradient: true)
          ChoiceMarks.end(key: "choice\(k)")
          y = y + left
        }
        return square(y).mean()
      }
      found += try loss.scalars()
      found += try gradients[first]?.scalars() ?? []
      found += try gradients[second]?.scalars() ?? []
    }
    return found
  }

  @Test("An arena in small chunks gives the same bits and grows no more than one in a piece")
  func chunks() async throws {
    let expected = try ArenaTests.train().map(\.bitPattern)
    await #expect(processExitsWith: .success) { [expected = expected as [UInt32]] in
      Engine.shared.largestChunk = 400 << 10
      guard try ArenaTests.train().map(\.bitPattern) == expected else { throw Failure() }
      let arena = try Engine.shared.arena(.cpu)
      guard arena.capacity > 2 * arena.chunkBytes else { throw Failure() }
      EngineStatistics.reset()
      guard try ArenaTests.train().map(\.bitPattern) == expected,
        EngineStatistics.counters.arenaGrowths == 0
      else { throw Failure() }
    }
  }

  @Test("What fits in no chunk is an error that says so, and nothing has run")
  func tooLarge() async {
    await #expect(processExitsWith: .success) {
      Engine.shared.largestChunk = 16 << 10
      do {
        _ = try ArenaTests.train()
        throw Failure()
      } catch let DeviceError.outOfMemory(wanted, free, largest) {
        guard wanted > 16 << 10, free == 16 << 10, largest.contains("[8, 8, 16, 16]") else {
          throw Failure()
        }
      }
      guard EngineStatistics.counters.launches == 0 else { throw Failure() }
    }
  }

  @Test("Pieces stay within a chunk, in order")
  func offsets() {
    var offsets = ArenaOffsets(chunkBytes: 1024)
    #expect([500, 400, 200, 1024, 1].map { offsets.push($0) } == [0, 512, 1024, 2048, 3072])
    #expect(offsets.end == 3136)
    #expect(offsets.largest == 1024)
    var rows = ArenaRows(chunkBytes: 1024)
    #expect([512, 512, 512].map { rows.allocate($0) } == [0, 512, 1024])
    rows.free(0, 512)
    rows.free(512, 512)
    #expect(rows.allocate(1000) == 0)
    #expect(rows.allocate(512) == 1536)
    #expect(rows.allocate(512) == 2048)
    #expect(rows.peak == 2560)
  }

  @Test("Running out of the CPU's memory names bytes and tensors and leaves all state intact")
  func outOfMemory() throws {
    let x = try Tensor((0..<24).map { Float($0) }, shape: [2, 3, 2, 2])
    let running = (
      mean: try Variable([0, 0, 0] as [Float], shape: [3]),
      variance: try Variable([1, 1, 1] as [Float], shape: [3])
    )
    let before = EngineStatistics.threadCounters.launches
    do {
      _ = try step { () -> [Tensor] in
        _ = batchNorm(x, running: running)
        return [Tensor(zeros: [1 << 14, 1 << 10, 1 << 7, 1 << 7]) * 2, x * 2]
      }
      Issue.record("a terabyte was found")
    } catch let DeviceError.outOfMemory(wanted, free, largest) {
      #expect(wanted >= 1 << 40)
      #expect(largest.hasPrefix("unary [16384, 1024, 128, 128] of 1099511627776 bytes"))
      let text = try String(contentsOfFile: "/proc/meminfo", encoding: .utf8)
      let line = text.split(separator: "\n").first { $0.hasPrefix("MemAvailable") }
      let available = line?.split(separator: " ").compactMap { Int($0) }.first.map { $0 * 1024 }
      let expected = try #require(available)
      #expect(free > expected / 2 && free < expected * 2)
    }
    #expect(EngineStatistics.threadCounters.launches == before)
    #expect(try running.mean.scalars() == [0, 0, 0])
    #expect(try running.variance.scalars() == [1, 1, 1])
    #expect(try step { x * 2 }.scalars()[1] == 2)
  }
}
