import EspalierTensor

extension OperationCases {
  /// Functions that only move elements.
  public static let shaping: [OperationCase] =
    reshapes + permutations + slices + paddings + joins + shuffles + broadcasts

  private static func move(
    _ name: String, _ shapes: [Shape], _ torch: String,
    _ body: @escaping @Sendable ([Tensor]) -> Tensor
  ) -> OperationCase {
    OperationCase(
      name, shapes.map { OperationInput($0) }, torch: torch, .sum(terms: 1), isIntegerExact: true
    ) { [body($0)] }
  }

  private static let reshapes: [OperationCase] =
    ([
      ([2, 16, 3, 3], [2, 144]), ([2, 5, 3, 4], [2, 60]), ([2, 60], [2, 5, 3, 4]),
      ([2, 6, 2, 3], [3, 4, 6, 1]), ([4, 7], [7, 4]), ([2, 16, 1, 1], [2, 16]), ([6], [2, 3]),
      ([2, 3, 4], [4, 6]), ([1, 7, 2, 2], [7, 2, 2]), ([], [1, 1]), ([2, 1, 4, 3], [2, 12]),
      ([2, 8, 2, 2], [2, 4, 2, 2, 2]), ([0, 5, 2, 2], [0, 20]),
    ] as [(Shape, Shape)]).map { from, to in
      move("reshape/\(from) to \(to)", [from], "x[0].reshape(\(to))") { $0[0].reshaped(to: to) }
    } + [
      move("reshape/one size free", [[2, 5, 3, 4]], "x[0].reshape(6, -1)") {
        $0[0].reshaped(to: [6, -1])
      },
      move("reshape/flattened", [[2, 5, 3, 4]], "x[0].flatten(1)") { $0[0].flattened() },
      move("reshape/flattened from 2", [[2, 5, 3, 4]], "x[0].flatten(2)") {
        $0[0].flattened(from: 2)
      },
      move("reshape/expanded", [[2, 5, 3]], "x[0].unsqueeze(1)") { $0[0].expandingShape(at: 1) },
      move("reshape/expanded at the end", [[5, 3]], "x[0].unsqueeze(-1)") {
        $0[0].expandingShape(at: -1)
      },
      move("reshape/squeezed", [[2, 1, 3, 4]], "x[0].squeeze(1)") { $0[0].squeezingShape(at: 1) },
    ]

  private static let permutations: [OperationCase] =
    ([
      ([2, 5, 3, 4], [0, 2, 3, 1]), ([2, 16, 3, 3], [3, 1, 0, 2]), ([2, 5, 3, 4], [1, 0, 2, 3]),
      ([4, 7], [1, 0]), ([2, 3, 4], [2, 0, 1]), ([2, 3, 2, 3, 2], [4, 2, 0, 3, 1]), ([5], [0]),
      ([2, 3, 2, 2, 2, 2], [5, 0, 4, 1, 3, 2]), ([0, 3], [1, 0]),
    ] as [(Shape, [Int])]).map { shape, order in
      move("permute/\(shape) by \(order)", [shape], "x[0].permute(\(order))") {
        $0[0].permuted(order)
      }
    } + [
      move("permute/transposed", [[3, 4, 5]], "x[0].mT") { $0[0].transposed() },
      move("permute/transposed image", [[2, 5, 3, 4]], "x[0].mT") { $0[0].transposed() },
    ]

  private static let slices: [OperationCase] = [
    move("slice/channels", [[2, 16, 3, 3]], "x[0][:, 4:12]") { $0[0].slice(4..<12, axis: 1) },
    move("slice/odd channels", [[2, 7, 3, 3]], "x[0][:, 3:4]") { $0[0].slice(3..<4, axis: 1) },
    move("slice/images", [[5, 5, 2, 2]], "x[0][1:3]") { $0[0].slice(1..<3, axis: 0) },
    move("slice/columns with a step", [[2, 5, 3, 7]], "x[0][..., 1:7:2]") {
      $0[0].slice(1..<7, axis: -1, step: 2)
    },
    move("slice/every third", [[10, 3]], "x[0][::3]") { $0[0].slice(0..<10, axis: 0, step: 3) },
    move("slice/shifted by a pixel", [[2, 5, 6, 6]], "x[0][:, :, 1::2, 1::2]") {
      $0[0].slice(starts: [0, 0, 1, 1], sizes: [2, 5, 3, 3], steps: [1, 1, 2, 2])
    },
    move("slice/a box", [[4, 5, 6]], "x[0][1:3, 2:5, 0:4]") {
      $0[0].slice(starts: [1, 2, 0], sizes: [2, 3, 4])
    },
    move("slice/nothing", [[4, 5]], "x[0][2:2]") { $0[0].slice(2..<2, axis: 0) },
  ]

  private static let paddings: [OperationCase] = [
    move("pad/image", [[2, 5, 3, 4]], "F.pad(x[0], (1, 2, 3, 0))") {
      $0[0].padded([(0, 0), (0, 0), (3, 0), (1, 2)])
    },
    move("pad/channels", [[2, 5, 3, 3]], "F.pad(x[0], (0, 0, 0, 0, 2, 9))") {
      $0[0].padded([(0, 0), (2, 9), (0, 0), (0, 0)])
    },
    move("pad/matrix", [[3, 4]], "F.pad(x[0], (1, 0, 0, 2))") { $0[0].padded([(0, 2), (1, 0)]) },
    OperationCase(
      "pad/with a number", [OperationInput([2, 5, 2, 2])],
      torch: "F.pad(x[0], (1, 1, 1, 1), value=0.75)", .elementwise(ulps: 1)
    ) { [$0[0].padded([(0, 0), (0, 0), (1, 1), (1, 1)], with: 0.75)] },
  ]

  private static let joins: [OperationCase] = [
    join([[2, 16, 3, 3], [2, 16, 3, 3]], 1),
    join([[2, 5, 3, 3], [2, 7, 3, 3], [2, 1, 3, 3]], 1),
    join([[2, 5, 3, 3], [1, 5, 3, 3]], 0), join([[2, 5, 3, 3], [2, 5, 2, 3]], 2),
    join([[1, 5, 3, 3], [1, 5, 3, 4]], 3), join([[3, 4], [3, 2]], 1), join([[3, 4], [1, 4]], 0),
    join([[5], [2], [1]], 0), join([[2, 3, 4], [2, 3, 1]], -1), join([[2, 5, 3, 3]], 1),
    join([[0, 4], [3, 4]], 0),
    move("concatenate/the same twice", [[2, 5, 2, 2]], "torch.cat([x[0], x[0]], 1)") {
      concatenate([$0[0], $0[0]])
    },
    move("concatenate/stacked", [[3, 4], [3, 4]], "torch.stack(x)") { stack($0) },
    move("concatenate/stacked at the end", [[3, 4], [3, 4], [3, 4]], "torch.stack(x, -1)") {
      stack($0, axis: -1)
    },
    move("concatenate/stacked in the middle", [[3, 4], [3, 4]], "torch.stack(x, 1)") {
      stack($0, axis: 1)
    },
  ]

  private static func join(_ shapes: [Shape], _ axis: Int) -> OperationCase {
    move(
      "concatenate/\(shapes.map(\.description).joined(separator: ", ")) along \(axis)", shapes,
      "torch.cat(x, \(axis))"
    ) { concatenate($0, axis: axis) }
  }

  private static let shuffles: [OperationCase] =
    ([([2, 12, 3, 3], 2), ([2, 12, 3, 3], 3), ([1, 64, 4, 5], 2), ([2, 10, 2, 2], 5)]
    as [(Shape, Int)]).map { shape, groups in
      move(
        "channel_shuffle/\(shape) in \(groups) groups", [shape],
        "F.channel_shuffle(x[0], \(groups))"
      ) { channelShuffle($0[0], groups: groups) }
    } + [
      OperationCase(
        "channel_shuffle/even and odd channels", [OperationInput([2, 36, 3, 5])],
        torch: "(x[0][:, ::2], x[0][:, 1::2])", .sum(terms: 1), isIntegerExact: true
      ) { channelShuffle($0[0], groups: 18, parts: 2) },
      OperationCase(
        "channel_shuffle/odd channels alone", [OperationInput([2, 4, 3, 3])],
        torch: "x[0][:, 1::2]", .sum(terms: 1), isIntegerExact: true
      ) { [channelShuffle($0[0], groups: 2, parts: 2)[1]] },
      // The shuffled part is written straight into its place in the concatenation.
      move(
        "channel_shuffle/half of it joined", [[2, 12, 3, 3]],
        "torch.cat([x[0][:, ::2], x[0][:, 1::2] * 2], 1)"
      ) { x in
        let halves = channelShuffle(x[0], groups: 6, parts: 2)
        return concatenate([halves[0], halves[1] * 2])
      },
    ]

  private static let broadcasts: [OperationCase] =
    ([
      ([1, 5, 1, 1], [2, 5, 3, 3]), ([2, 1, 3, 1], [2, 16, 3, 4]), ([4], [3, 4]),
      ([], [2, 5, 2, 2]),
      ([3, 1], [3, 7]), ([1], [5]), ([2, 1], [4, 2, 3]),
    ] as [(Shape, Shape)]).map { from, to in
      OperationCase(
        "broadcast/\(from) to \(to)", [OperationInput(from)], torch: "x[0].broadcast_to(\(to))",
        .sum(terms: 1), isIntegerExact: true
      ) { [$0[0].broadcast(to: to)] }
    }
}
