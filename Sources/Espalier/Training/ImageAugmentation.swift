/// How training images are changed at random; what `--set` takes as `crop`, `flip`, `cutout`.
public struct ImageAugmentation: Equatable, Sendable {
  /// Pixels by which a random crop may move the image; 0: no crop.
  public var crop = 0
  /// Whether half of the images are mirrored.
  public var flips = false
  /// Side of the square that cutout clears while retraining, in pixels; 0: none.
  public var cutout = 0
  /// Drop-path probability at the end of a retraining.
  public var dropPath = 0.0

  /// No augmentation.
  public init() {}

  /// As in DARTS: crop 4, flip, cutout 16 and drop path 0.2.
  static let ofColourImages: ImageAugmentation = {
    var result = ImageAugmentation()
    (result.crop, result.flips, result.cutout, result.dropPath) = (4, true, 16, 0.2)
    return result
  }()

  /// What suits a kind of images: for colour images of at least 32 pixels that of DARTS; for others
  /// nothing, since short trainings do better without.
  public init(for image: ImageShape) {
    if image.channels == 3 && min(image.height, image.width) >= 32 { self = .ofColourImages }
  }

  /// Changes before normalisation.
  public var early: [any Augmentation] {
    var list: [any Augmentation] = []
    if crop > 0 { list.append(RandomCrop(padding: crop)) }
    if flips { list.append(HorizontalFlip()) }
    return list
  }

  /// Changes after normalisation.
  public var late: [any Augmentation] { cutout > 0 ? [Cutout(length: cutout)] : [] }

  /// The same with the settings that were given.
  public func with(_ values: SettingValues) throws(SettingError) -> ImageAugmentation {
    var result = self
    result.crop = try values.integer("crop", default: crop, in: 0...64)
    result.flips = try values.flag("flip", default: flips)
    result.cutout = try values.integer("cutout", default: cutout, in: 0...224)
    result.dropPath = try values.number("drop_path", default: dropPath, in: 0...0.95)
    return result
  }
}
