/// What a layer of a mobile space chooses from.
public enum MobileBlocks: String, CaseIterable, Sendable {
  /// ProxylessNAS: kernels of 3, 5 and 7 pixels, expansions 3 and 6.
  case proxyless
  /// FBNet: kernels of 3 and 5 pixels, expansions 1, 1 in two groups, 3 and 6.
  case fbnet

  /// The candidates by name, in the authors' order.
  ///
  /// The last one, `skip`, is the input as it is. Where size or width changes ProxylessNAS has none,
  /// and FBNet's is a 1x1 convolution, batch norm and ReLU, as in its authors' code.
  func candidates(_ from: Int, _ to: Int, stride: Int) -> [(name: String, layer: any Layer)] {
    let isSame = from == to && stride == 1
    switch self {
    case .proxyless:
      var list: [(name: String, layer: any Layer)] = []
      for size in [3, 5, 7] {
        for expansion in [3, 6] {
          list.append(
            (
              "k\(size)e\(expansion)",
              InvertedResidual(
                from, to, kernelSize: size, expansion: expansion, stride: stride, epsilon: epsilon)
            ))
        }
      }
      return isSame ? list + [("skip", Identity())] : list
    case .fbnet:
      var list: [(name: String, layer: any Layer)] = []
      for size in [3, 5] {
        for (suffix, expansion, groups) in [
          ("e1", 1, 1), ("e1_g2", 1, 2), ("e3", 3, 1), ("e6", 6, 1),
        ] {
          list.append(
            (
              "k\(size)_\(suffix)",
              FBNetBlock(
                from, to, kernelSize: size, expansion: expansion, groups: groups, stride: stride)
            ))
        }
      }
      return list + [("skip", isSame ? Identity() : unit(from, to, kernelSize: 1, stride: stride))]
    }
  }

  /// Other names of the candidates: the authors'.
  var synonyms: [String: String] {
    switch self {
    case .proxyless:
      [
        "3x3_MBConv3": "k3e3", "3x3_MBConv6": "k3e6", "5x5_MBConv3": "k5e3", "5x5_MBConv6": "k5e6",
        "7x7_MBConv3": "k7e3", "7x7_MBConv6": "k7e6", "Zero": "skip",
      ]
    case .fbnet:
      [
        "ir_k3_e1": "k3_e1", "ir_k3_s2": "k3_e1_g2", "ir_k3_e3": "k3_e3", "ir_k3_e6": "k3_e6",
        "ir_k5_e1": "k5_e1", "ir_k5_s2": "k5_e1_g2", "ir_k5_e3": "k5_e3", "ir_k5_e6": "k5_e6",
      ]
    }
  }

  /// What batch norms add to the variance.
  var epsilon: Float {
    switch self {
    case .proxyless: 1e-3
    case .fbnet: 1e-5
    }
  }

  /// Convolution, batch norm and activation: stem, head and FBNet's `skip`.
  func unit(_ from: Int, _ to: Int, kernelSize: Int, stride: Int) -> any Layer {
    let activation: any Layer =
      switch self {
      case .proxyless: ReLU6()
      case .fbnet: ReLU()
      }
    return Sequential(
      Conv2d(
        from, to, kernelSize: IntPair(kernelSize, kernelSize), stride: IntPair(stride, stride),
        padding: IntPair(kernelSize / 2, kernelSize / 2), bias: false),
      BatchNorm2d(to, epsilon: epsilon), activation)
  }
}
