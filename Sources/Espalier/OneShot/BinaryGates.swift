/// ProxylessNAS' gates with the memory of one path (its code's `full_v2`).
///
/// Forward, only the active candidate runs. The gradient towards gate k is `Σ ∂L/∂out ⊙ out_k`, for
/// which the other candidates run in the backward pass, without a gradient of their own; draws and
/// statistics of the forward pass are not touched by them.
struct BinaryGates: Mixture {
  func callAsFunction(_ candidates: MixtureCandidates) -> Tensor {
    let active = candidates.active[0]
    let output = candidates.run(active)
    guard let gates = candidates.weights else { return output }
    return withGradient(of: output, wrt: [output, gates]) { upstream in
      let all = (0..<gates.shape[0]).map { index in
        if index == active { return output }
        return candidates.isZero(index) ? output.zerosLike() : candidates.run(index)
      }
      return [upstream, weightGradient(of: all, upstream: upstream)]
    }
  }
}
