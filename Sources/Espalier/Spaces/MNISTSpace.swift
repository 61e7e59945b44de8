/// The guide's `Net` with a layer choice and an input choice, paddings chosen so that all agree.
public final class MNISTSpace: Module, SpaceModel {
  private let conv1: LayerChoice
  private let conv2: Conv2d
  private let conv3: Conv2d
  private let skipcon = InputChoice(candidateCount: 1)
  private let dropout1 = Dropout2d(0.25)
  private let dropout2 = Dropout(0.5)
  private let fc1: Linear
  private let fc2: Linear

  /// A net for images of the given shape.
  public init(image: ImageShape, classes: Int) {
    conv1 = LayerChoice([
      "conv3x3": Conv2d(image.channels, 32, kernelSize: 3, padding: 1),
      "conv5x5": Conv2d(image.channels, 32, kernelSize: 5, padding: 2),
    ])
    conv2 = Conv2d(32, 64, kernelSize: 3, padding: 1)
    conv3 = Conv2d(64, 64, kernelSize: 1)
    fc1 = Linear(64 * (image.height / 2) * (image.width / 2), 128)
    fc2 = Linear(128, classes)
  }

  /// `[N, C, H, W]` → `[N, classes]`.
  public func callAsFunction(_ images: Tensor) -> Tensor {
    let x = relu(conv2(relu(conv1(images))))  // [N, 64, H, W]
    var y = conv3(x)
    if let skip = skipcon([x]) { y += skip }
    y = dropout1(maxPool2d(relu(y), kernelSize: 2)).flattened(from: 1)  // [N, 64·H/2·W/2]
    return fc2(dropout2(relu(fc1(y))))
  }

  static let definition = SpaceDefinition(
    name: "mnist", summary: "the guide's Net: a 3x3 or 5x5 convolution, a skip connection or none",
    paper: "NNI guide, \"Using NAS on NNI\"",
    makeSupernet: { settings throws(SettingError) in try make(settings) })

  private static func make(_ settings: SpaceSettings) throws(SettingError) -> any SpaceModel {
    let image = settings.image
    try settings.requireImage(atLeast: 2, for: "the pooling")
    return MNISTSpace(image: image, classes: settings.classes)
  }
}
