import Dispatch
import Synchronization

/// Delivers a view of a data set batch by batch, in a new seeded order each epoch, and prepares the
/// next batches on other threads.
///
/// What a batch holds depends on seed, epoch and position only, so the number of threads, the
/// prefetch depth and a resume in the middle of an epoch cannot change it. Used from one thread.
public final class DataLoader {
  /// Where a loader is: what a checkpoint must hold.
  public struct State: Codable, Equatable, Sendable {
    /// The epoch from 0.
    public var epoch: Int
    /// The next sample to deliver, as a position in the epoch's order.
    public var nextIndex: Int

    /// Creates a state; the default is the beginning.
    public init(epoch: Int = 0, nextIndex: Int = 0) {
      self.epoch = epoch
      self.nextIndex = nextIndex
    }
  }

  /// The samples in a full batch.
  public let batchSize: Int
  /// The samples delivered in an epoch.
  public let samplesInEpoch: Int
  /// The batches in an epoch.
  public var batchesInEpoch: Int { (samplesInEpoch + batchSize - 1) / batchSize }

  private let view: View
  private let prefetchDepth: Int
  private var delivered: State
  private var requested: State
  private var order: (epoch: Int, indices: [Int])?
  /// In the order of delivery.
  private var pending: [PendingBatch] = []

  /// Creates a loader at the beginning of epoch 0.
  ///
  /// - Parameters:
  ///   - dataset: Where the samples are.
  ///   - indices: The samples of the view; nil for all of them.
  ///   - batchSize: The samples in a full batch.
  ///   - transforms: Applied to each image in order, on the threads that prefetch.
  ///   - seed: Fixes the order of every epoch and the transforms' randomness.
  ///   - shuffles: Whether each epoch has an order of its own; else that of `indices`.
  ///   - dropsLast: Whether the smaller batch at the end of an epoch is left out; an epoch with
  ///     fewer samples than a batch keeps its only one.
  ///   - prefetch: How many batches may be prepared ahead; 0 prepares each when it is asked for.
  public init(
    _ dataset: any Dataset, indices: [Int]? = nil, batchSize: Int,
    transforms: [any Augmentation] = [], seed: UInt64, shuffles: Bool = true,
    dropsLast: Bool = false, prefetch: Int = 2
  ) {
    let indices = indices ?? Array(0..<dataset.count)
    precondition(batchSize > 0, "DataLoader: batch size \(batchSize)")
    precondition(!indices.isEmpty, "DataLoader: no samples")
    precondition(
      indices.allSatisfy { $0 >= 0 && $0 < dataset.count },
      "DataLoader: an index is not below \(dataset.count)")
    self.batchSize = batchSize
    samplesInEpoch =
      dropsLast && indices.count >= batchSize
      ? indices.count / batchSize * batchSize : indices.count
    view = View(
      dataset: dataset, indices: indices, transforms: transforms, seed: seed, shuffles: shuffles)
    prefetchDepth = max(0, prefetch)
    delivered = State()
    requested = State()
  }

  deinit {
    // Batches on their way are abandoned; nobody waits for them, and they hold no loader.
    for batch in pending { batch.abandon() }
  }

  /// The dimensions of each image.
  public var imageShape: ImageShape {
    ImageShape(
      channels: view.dataset.channels, height: view.dataset.height, width: view.dataset.width)
  }
  /// The number of regression targets of a sample; 0 for classification.
  public var targetCount: Int { view.dataset.targetCount }

  /// The next batch of the epoch; nil once at its end, after which the next epoch begins.
  public func next() throws(DatasetError) -> Batch? {
    if delivered.nextIndex >= samplesInEpoch {
      delivered = State(epoch: delivered.epoch + 1)
      return nil
    }
    while pending.count < max(1, prefetchDepth) { request() }
    let first = pending.removeFirst()
    let batch: Batch
    switch first.wait() {
    case .success(let ready): batch = ready
    case .failure(let error):
      // What was prepared behind the failed batch would be delivered in its place.
      restore(delivered)
      throw error
    }
    delivered.nextIndex += batch.count
    // Refill at once, so that the threads work while the caller trains.
    while pending.count < prefetchDepth { request() }
    return batch
  }

  /// The next batch, going on with the next epoch at the end of one.
  public func nextCycling() throws(DatasetError) -> Batch {
    while true {
      if let batch = try next() { return batch }
    }
  }

  /// Where the loader is; after an error, still at the batch that failed.
  public var state: State { delivered }

  /// Goes to a state that a loader of the same view, seed and batch size was in.
  public func restore(_ state: State) {
    precondition(
      state.epoch >= 0 && state.nextIndex >= 0 && state.nextIndex <= samplesInEpoch,
      "DataLoader.restore: \(state) of \(samplesInEpoch) samples")
    for batch in pending { batch.abandon() }
    pending = []
    delivered = state
    requested = state
  }

  /// Starts the next batch in the order of delivery.
  private func request() {
    if requested.nextIndex >= samplesInEpoch { requested = State(epoch: requested.epoch + 1) }
    let epoch = requested.epoch
    let indices: [Int]
    if let order, order.epoch == epoch {
      indices = order.indices
    } else {
      indices = view.order(ofEpoch: epoch)
      order = (epoch, indices)
    }
    let end = min(requested.nextIndex + batchSize, samplesInEpoch)
    let part = Array(indices[requested.nextIndex..<end])
    requested.nextIndex = end
    let batch = PendingBatch()
    pending.append(batch)
    if prefetchDepth == 0 {
      batch.prepare { () throws(DatasetError) in try self.view.batch(at: part, epoch: epoch) }
    } else {
      DispatchQueue.global(qos: .userInitiated).async { [view] in
        batch.prepare { () throws(DatasetError) in try view.batch(at: part, epoch: epoch) }
      }
    }
  }
}

/// The part of a loader that never changes, which threads share.
private struct View: Sendable {
  let dataset: any Dataset
  let indices: [Int]
  let transforms: [any Augmentation]
  let seed: UInt64
  let shuffles: Bool

  func order(ofEpoch epoch: Int) -> [Int] {
    guard shuffles else { return indices }
    var order = indices
    var generator = Philox(seed: seed, purpose: .order, epoch: epoch)
    generator.shuffle(&order)
    return order
  }

  func batch(at indices: [Int], epoch: Int) throws(DatasetError) -> Batch {
    try Batch(of: dataset, at: indices, transforms: transforms, seed: seed, epoch: epoch)
  }
}

/// A batch that a thread prepares and the loader waits for.
private final class PendingBatch: Sendable {
  private let result = Mutex<Result<Batch, DatasetError>?>(nil)
  private let isAbandoned = Atomic<Bool>(false)
  private let isReady = DispatchSemaphore(value: 0)

  func prepare(_ make: () throws(DatasetError) -> Batch) {
    guard !isAbandoned.load(ordering: .relaxed) else { return }
    let made = Result<Batch, DatasetError>(catching: make)
    result.withLock { $0 = made }
    isReady.signal()
  }

  func abandon() { isAbandoned.store(true, ordering: .relaxed) }

  func wait() -> Result<Batch, DatasetError> {
    isReady.wait()
    return result.withLock { $0 } ?? .failure(.unreadable(path: "batch", reason: "not prepared"))
  }
}
