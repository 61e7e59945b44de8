/// What a kind of device lets the planner do; each backend says it of itself.
struct PlanningAbilities: Sendable {
  /// Fusions whose kernels the device has, in order of preference.
  var fusions: [Pass]
  /// Whether rows of one call may be of different variants of its kernel, such as 3x3 beside 5x5.
  var rowsMixVariants: Bool
  /// Whether image kernels honour pixel strides, so that slices of channels need no copy.
  var viewsChannels: Bool
  /// Whether kernels have scratch of their own on each thread; else it is part of their workspace.
  var hasThreadScratch: Bool
}

extension Device {
  /// What its kind of backend lets the planner do.
  var planningAbilities: PlanningAbilities {
    isCPU ? CPUBackend.planningAbilities : OpenCLBackends.shared.planningAbilities(of: self)
  }
}
