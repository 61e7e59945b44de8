import CKernels
import Espalier
import Foundation

/// Verifies and times one workload.
struct StepBench {
  private let workload: Workload
  private let options: BenchOptions
  private let device: Device
  private let sizes: StepSizes
  private let steps: Int

  /// A workload at the sizes that the options ask for.
  init(_ workload: Workload, _ options: BenchOptions) throws {
    self.workload = workload
    self.options = options
    device = try Device(named: options.device)
    sizes = StepSizes(
      batch: options.batch, channels: options.channels ?? workload.defaultChannels,
      cells: options.cells ?? workload.defaultCells, space: options.space)
    steps = options.steps ?? workload.defaultSteps
  }

  /// Writes one row, or, as the verifying process, one number.
  func run(_ report: Report) throws {
    if options.isVerifying {
      print(try Device.with(device) { try largestLossDifference() })
      return
    }
    let difference = try differenceFromOtherProcess()
    guard difference <= workload.largestDifference else {
      report.row(
        [
          "workload": .string(workload.name), "device": .string("\(device)"),
          "check": .string("BAD"),
        ],
        "\(workload.name): BAD, losses differ by \(difference) from those of the plain plan")
      throw CheckError(message: "1 check failed")
    }
    try Device.with(device) { try measure(report, difference) }
  }

  // MARK: Verification

  /// The largest relative difference of the losses of two steps, planned fully and not at all.
  ///
  /// The first loss shows the forward pass, the second also gradients and updates.
  private func largestLossDifference() throws -> Double {
    func losses(_ option: Planning) throws -> [Double] {
      try Planning.$option.withValue(option) {
        let step = try workload.makeStep(sizes)
        return try (0..<2).map { try step.run($0) }
      }
    }
    let found = try losses(.full)
    let expected = try losses(.none)
    return zip(found, expected).reduce(0) { worst, pair in
      let difference = abs(pair.0 - pair.1) / abs(pair.1)
      return difference <= worst ? worst : difference
    }
  }

  /// The same from a process of its own: an unoptimised plan's memory is not what is measured here.
  private func differenceFromOtherProcess() throws -> Double {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = options.arguments + ["--verify"]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let text = String(decoding: output, as: UTF8.self)
    guard process.terminationStatus == 0,
      let difference = text.split(whereSeparator: \.isWhitespace).last.flatMap({ Double($0) })
    else { throw CheckError(message: "the verification of \(workload.name) did not finish") }
    return difference
  }

  // MARK: Time

  private func measure(_ report: Report, _ difference: Double) throws {
    EngineStatistics.reset()
    let step = try workload.makeStep(sizes)
    var number = try warmUp(step)
    let planning = EngineStatistics.counters.planSeconds
    EngineStatistics.reset()
    var samples = Samples()
    var flops: Double? = 0
    for _ in 0..<steps {
      samples.add(try Timing.seconds { _ = try step.run(number) })
      let done = step.flopsOfLastStep()
      flops = flops.flatMap { sum in done.map { sum + $0 / Double(steps) } }
      number += 1
    }
    let counters = EngineStatistics.counters
    let memory = ProcessMemory.peakBytes + device.peakBytes
    let hostSeconds = try hostSecondsPerLaunch()
    let peak = device.isCPU ? esp_measure_peak(0) : nil
    let perStep = { (count: Int) in Double(count) / Double(steps) }
    let percent = flops.flatMap { flops in peak.map { 100 * flops / samples.median / $0 } }
    report.row(
      [
        "workload": .string(workload.name), "device": .string("\(device)"),
        "batch": .integer(sizes.batch), "channels": .integer(sizes.channels),
        "cells": .integer(sizes.cells), "steps": .integer(steps),
        "threads": .integer(Int(esp_threads())), "median_s": .measured(samples.median),
        "mean_s": .measured(samples.mean), "iqr_s": .measured(samples.iqr),
        "min_s": .measured(samples.minimum),
        "images_per_s": .measured(Double(sizes.batch) / samples.median),
        "launches": .measured(perStep(counters.launches)),
        "records": .measured(perStep(counters.records)), "plan_s": .measured(planning),
        "bytes_planned": .integer(Int(perStep(counters.bytesPlanned))),
        "flops": .measured(flops?.rounded()), "percent_of_peak": .measured(percent),
        "peak_bytes": .integer(memory), "plan_misses": .integer(counters.planMisses),
        "arena_growths": .integer(counters.arenaGrowths),
        "host_us_per_launch": .measured(hostSeconds * 1e6),
        "max_rel_error": .measured(difference), "note": .string(workload.note),
      ],
      """
      \(workload.name) on \(device), batch \(sizes.batch), C=\(sizes.channels), \
      \(sizes.cells) cells: \((samples.median * 1e3).text(1)) ms\(samples.mark) a step \
      (quartiles \((samples.iqr * 1e3).text(1)) apart, \(steps) steps), \
      \((Double(sizes.batch) / samples.median).text(1)) images/s
      \(perStep(counters.launches).text(0)) launches, \(perStep(counters.records).text(0)) records, \
      \(counters.planMisses) plan misses, \((Double(memory) * 0x1p-20).text(0)) MiB at most, \
      \(flops.map { "\(($0 * 1e-9).text(1)) GFLOP" } ?? "GFLOP not counted")\
      \(percent.map { " (\($0.text(1)) % of peak)" } ?? ""), \
      planned in \(planning.text(2)) s, host at most \((hostSeconds * 1e6).text(2)) us a launch
      """)
  }

  /// Steps until nothing is planned any more; returns the next step's number.
  private func warmUp(_ step: any TrainingStep) throws -> Int {
    let (least, most, quiet) = workload.warmUp
    var (number, calm) = (0, 0)
    while number < least || (calm < quiet && number < most) {
      let before = EngineStatistics.counters.planMisses
      _ = try step.run(number)
      calm = EngineStatistics.counters.planMisses == before ? calm + 1 : 0
      number += 1
    }
    return number
  }

  /// Seconds a launch of the same step on tensors of a few numbers: hardly more than what recording,
  /// looking plans up and starting kernels cost; on OpenCL, with the queue's own latency.
  private func hostSecondsPerLaunch() throws -> Double {
    let step = try workload.makeStep(sizes.tiny)
    var number = try warmUp(step)
    EngineStatistics.reset()
    var samples = Samples()
    for _ in 0..<10 {
      samples.add(try Timing.seconds { _ = try step.run(number) })
      number += 1
    }
    return samples.median * 10 / Double(EngineStatistics.counters.launches)
  }
}
