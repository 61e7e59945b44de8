import Espalier
import EspalierTensor

extension RetrainPlan {
  /// Says what would run; throws where a run would be refused before its first step.
  func describe(json: Bool) throws {
    let parameters = try Device.with(task.device) { try makeNetwork(jobs[0]).parameterCount }
    guard json, case .object(var object) = configuration(nil, nil) else {
      let count = jobs.count == 1 ? "" : "\(jobs.count) times: "
      return Console.output("would retrain \(count)\(sentence(parameters: parameters))")
    }
    object["steps"] = .integer(jobs.count * epochs * stepsInEpoch)
    object["parameters"] = .integer(parameters)
    Console.output(JSONValue.object(object).compactText)
  }

  private var images: Int { min(options.images ?? .max, task.data.train.count) }

  private var stepsInEpoch: Int { (images + batch - 1) / batch }

  func sentence(parameters: Int) -> String {
    "\(task.space.name) on \(task.source), images \(task.image.text), \(task.device): "
      + "\(parameters) parameters, \(images) training images, "
      + RunText.steps(stepsInEpoch, epochs: epochs)
  }
}
