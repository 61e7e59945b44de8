/// What a training loop trains: a supernet under a strategy, or a fixed network.
protocol TrainingTask: AnyObject {
  /// The network, whose parameters and buffers a checkpoint holds under their paths.
  var model: any Layer { get }
  /// The optimizer of the network's weights, whose learning rate follows the loop's schedule.
  var weightsOptimizer: any Optimizer { get }
  /// All other optimizers by name.
  var otherOptimizers: [(name: String, optimizer: any Optimizer)] { get }

  /// Called before the first step, once a checkpoint is restored.
  func prepare() throws
  /// Trains once; runs inside `step { }`.
  func step(_ batch: Batch, at position: TrainingPosition) throws -> StepResult
  /// What a line of the log has of the choices: `decisions`, how probable each candidate of each key
  /// is now, and what follows from it; reads values.
  func decisions() throws -> JSONObject
  /// Told once an epoch's last step is done; a reason ends the training here.
  func epochEnded(at position: TrainingPosition) throws -> String?

  /// Adds what a checkpoint must hold beside the model, the optimizers and the position.
  func save(to checkpoint: inout Checkpoint) throws
  /// Puts back what `save` added; called before the model and the optimizers are restored.
  func restore(from checkpoint: Checkpoint) throws
}

extension TrainingTask {
  /// None.
  var otherOptimizers: [(name: String, optimizer: any Optimizer)] { [] }
  /// Nothing.
  func prepare() throws {}
  /// Nothing was chosen.
  func decisions() throws -> JSONObject { ["decisions": .object([:])] }
  /// Goes on.
  func epochEnded(at position: TrainingPosition) throws -> String? { nil }
  /// Nothing.
  func save(to checkpoint: inout Checkpoint) throws {}
  /// Nothing.
  func restore(from checkpoint: Checkpoint) throws {}
}
