import Espalier

/// Sizes that work and that hardly anybody means.
struct SizeWarnings {
  /// One sentence each.
  private(set) var texts: [String] = []
  private let task: WorkTask

  private init(_ task: WorkTask) { self.task = task }

  /// Of a search.
  static func search(_ task: WorkTask, _ options: SearchOptions) -> [String] {
    var warnings = SizeWarnings(task)
    warnings.checkCounts(isTesting: false)
    let (weights, held) = task.halves(options)
    warnings.checkBatch(options.batchSize, of: weights)
    warnings.checkClasses(weights, held == 0 ? weights : held)
    warnings.checkAugmentation()
    return warnings.texts
  }

  /// Of a retraining.
  static func retrain(_ task: WorkTask, _ options: RetrainOptions) -> [String] {
    var warnings = SizeWarnings(task)
    warnings.checkCounts(isTesting: true)
    let images = min(options.images ?? .max, task.data.train.count)
    warnings.checkBatch(options.batchSize, of: images)
    warnings.checkClasses(images, images)
    warnings.checkAugmentation()
    return warnings.texts
  }

  /// Of an evaluation, where `images` counts test images too.
  static func evaluate(_ task: WorkTask) -> [String] {
    var warnings = SizeWarnings(task)
    for name in ["images", "test_images"] {
      warnings.check(name, against: task.data.test.count, "test")
    }
    return warnings.texts
  }

  private mutating func checkCounts(isTesting: Bool) {
    check("images", against: task.data.train.count, "training")
    if isTesting { check("test_images", against: task.data.test.count, "test") }
  }

  private mutating func check(_ name: String, against count: Int, _ kind: String) {
    guard let wanted = task.settings.texts[name].flatMap({ Int($0) }), wanted > count else {
      return
    }
    texts.append("--set \(name)=\(wanted): \(task.source.name) has \(count) \(kind) images")
  }

  private mutating func checkBatch(_ batch: Int, of images: Int) {
    guard batch > images else { return }
    let verb = images == 1 ? "trains" : "train"
    texts.append(
      "--batch \(batch) is cut to the \(RunText.count(images, "image")) that \(verb) weights")
  }

  private mutating func checkClasses(_ weights: Int, _ held: Int) {
    guard min(weights, held) < task.classes else { return }
    let choosing = weights == held ? "" : " and \(held) to choose by"
    texts.append(
      "\(RunText.count(weights, "image")) to train weights\(choosing), for \(task.classes) classes")
  }

  private mutating func checkAugmentation() {
    let side = min(task.image.height, task.image.width)
    for name in ["crop", "cutout"] {
      guard let pixels = task.settings.texts[name].flatMap({ Int($0) }), pixels >= side else {
        continue
      }
      texts.append("--set \(name)=\(pixels): may leave nothing of images of \(side) pixels")
    }
  }
}

extension WorkTask {
  /// How many images train weights and how many are held out.
  func halves(_ options: SearchOptions) -> (weights: Int, held: Int) {
    let parts = DatasetSplit.halves(
      count: data.train.count, portion: options.split, seed: seed, images: options.images ?? .max)
    return (parts.0.count, parts.1.count)
  }
}
