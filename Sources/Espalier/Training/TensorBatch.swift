/// A batch as tensors on the training device.
public struct TensorBatch {
  /// `[N, C, H, W]`.
  public let images: Tensor
  /// int32 `[N]`, for classification.
  public let labels: Tensor?
  /// `[N, targets]`, for regression.
  public let targets: Tensor?
  /// Number of samples.
  public let count: Int

  /// A batch of tensors that exist.
  public init(images: Tensor, labels: Tensor?, targets: Tensor? = nil) {
    self.images = images
    self.labels = labels
    self.targets = targets
    count = images.shape[0]
  }

  /// Uploads a batch to the current device.
  public init(_ batch: Batch) throws(DeviceError) {
    count = batch.count
    images = try Tensor(batch.images, shape: Shape(batch.shape), order: .channelsLast)
    labels = batch.labels.isEmpty ? nil : try Tensor(batch.labels)
    targets =
      batch.targets.isEmpty
      ? nil : try Tensor(batch.targets, shape: [batch.count, batch.targetCount])
  }
}
