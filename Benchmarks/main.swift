import Foundation

// JSON lines on standard output, a table for people on standard error: see README.md.
do {
  let options = try BenchOptions(Array(CommandLine.arguments.dropFirst()))
  let report = try Report(file: options.jsonFile)
  if let workload = options.workload {
    try StepBench(workload, options).run(report)
  } else {
    try OperationBench(options).run(report)
  }
} catch let error as UsageError {
  Report.say("Bench: \(error.message)")
  exit(2)
} catch {
  Report.say("Bench: \(error)")
  exit(1)
}
