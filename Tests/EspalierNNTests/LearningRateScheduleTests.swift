import EspalierNN
import Foundation
import Testing

@Suite("Learning-rate schedules")
struct LearningRateScheduleTests {
  private static let schedules: [(String, LearningRateSchedule)] = [
    ("cosine", .cosine(0.1, to: 0.01)),
    ("step", .step(0.1, at: [0.25, 0.75], gamma: 0.5)),
    ("linear", .linear(0.1, to: 0.01)),
    ("restarts", .warmRestarts(0.1, to: 0.01, count: 2, growth: 2)),
    ("warmup", LearningRateSchedule.cosine(0.1, to: 0.01).warmedUp(over: 0.25)),
  ]

  @Test("Schedules agree with PyTorch's at every step of a run", arguments: schedules.map(\.0))
  func agreesWithPyTorch(name: String) throws {
    let goldens: [String: [Double]] = try golden("schedules.json")
    let expected = try #require(goldens[name])
    let schedule = try #require(Self.schedules.first { $0.0 == name }).1
    for (step, rate) in expected.enumerated() {
      let found = schedule.rate(Double(step) / Double(expected.count))
      #expect(abs(found - rate) < 1e-8, "step \(step): \(found), expected \(rate)")
    }
  }

  @Test("The closed forms hold at the ends and in the middle")
  func closedForms() {
    let cosine = LearningRateSchedule.cosine(0.025, to: 0.001)
    #expect(cosine.rate(0) == 0.025)
    #expect(abs(cosine.rate(0.5) - 0.013) < 1e-12)
    #expect(abs(cosine.rate(1) - 0.001) < 1e-12)
    #expect(abs(cosine.rate(1.5) - 0.001) < 1e-12)
    #expect(LearningRateSchedule.constant(0.3).rate(0.7) == 0.3)
    #expect(abs(LearningRateSchedule.linear(1).rate(0.75) - 0.25) < 1e-12)
    #expect(LearningRateSchedule.linear(1).rate(2) == 0)
  }

  @Test("Warm restarts begin again at the full rate, each longer than the one before")
  func restarts() {
    // Lengths 1, 3 and 9 of 13.
    let schedule = LearningRateSchedule.warmRestarts(1, count: 3, growth: 3)
    for start in [0, 1, 4] { #expect(abs(schedule.rate(Double(start) / 13) - 1) < 1e-12) }
    for (start, length) in [(0.0, 1.0), (1, 3), (4, 9)] {
      #expect(abs(schedule.rate((start + length / 2) / 13) - 0.5) < 1e-9)
    }
    #expect(schedule.rate(3.999 / 13) < 1e-5)
    #expect(schedule.rate(1) < 1e-12)
  }

  @Test("A warm-up rises straight to where the schedule behind it begins, then runs all of it")
  func warmUp() {
    let schedule = LearningRateSchedule.linear(0.8, to: 0.2).warmedUp(over: 0.2)
    #expect(schedule.rate(0) == 0)
    #expect(abs(schedule.rate(0.1) - 0.4) < 1e-12)
    #expect(abs(schedule.rate(0.2) - 0.8) < 1e-12)
    #expect(abs(schedule.rate(0.6) - 0.5) < 1e-12)
    #expect(abs(schedule.rate(1) - 0.2) < 1e-12)
  }
}
