/** @file The numeric checks of the gradients of operators that pick and place numbers. */

import { type Cases, from } from './caseForms.ts';

/** Places that are written to once each. */
const once = [from('any', 4, 3), { fed: [2, -4], dims: [2, 1] }, from('any', 2, 3)] as const;
/** Places that are written to twice. */
const twice = [from('nonzero', 4, 2), { fed: [2, 0, 2, -2], dims: [4, 1] }, from('nonzero', 4, 2)] as const;
const elements = [from('nonzero', 3, 4), { fed: [3, 0, 3, -1, 2, 2], dims: [2, 3] }, from('nonzero', 2, 3)] as const;
const distinct = (shape: readonly number[]): { shape: readonly number[]; domain: 'distinct' } => ({
  shape,
  domain: 'distinct',
});

type MovementOp =
  | 'Pad'
  | 'Gather'
  | 'GatherElements'
  | 'GatherND'
  | 'ScatterND'
  | 'ScatterElements'
  | 'Tile'
  | 'DepthToSpace'
  | 'SpaceToDepth';

/** A row per operator; a part of the whole table, whose type makes it complete. */
export const movementCases: Readonly<Record<MovementOp, Cases>> = {
  Pad: [
    { inputs: [[2, 3], { ints: [1, 0, 0, 2] }] },
    { inputs: [[4, 5], { ints: [-1, 2, 1, -3] }] },
    { inputs: [[4, 5], { ints: [-1, 2] }, undefined, { ints: [-1] }] },
    { inputs: [[2, 3], { ints: [1, 1, 1, 1] }], attributes: { mode: 'constant' } },
    { inputs: [[2, 3]], attributes: { pads: [1, 0, 0, 2] }, opset: 10 },
    { inputs: [[2, 3], { ints: [1, 2, 0, 1] }], attributes: { mode: 'edge' } },
    { inputs: [[3, 4], { ints: [2, 3, 1, 0] }], attributes: { mode: 'reflect' } },
    { inputs: [[3, 4], { ints: [2, 3, 1, 0] }], attributes: { mode: 'wrap' }, opset: 19 },
    { inputs: [[2, 5, 1], { ints: [3, 4] }, undefined, { ints: [-2] }], attributes: { mode: 'reflect' } },
    { inputs: [[2, 5, 1], { ints: [2, 1] }, undefined, { ints: [-1] }], attributes: { mode: 'edge' } },
    { inputs: [[2, 4]], attributes: { pads: [1, 3, 0, 2], mode: 'reflect' }, opset: 9, type: 'float32' },
  ],
  Gather: [
    { inputs: [[4, 3], { ints: [2], dims: [] }] },
    { inputs: [[4, 3], { ints: [-1], dims: [] }], attributes: { axis: 1 } },
    { inputs: [[4, 3], { ints: [1] }], attributes: { axis: -1 } },
    { inputs: [[4, 3], { ints: [3, 0, 3, 3] }] },
    { inputs: [[2, 4, 3], { ints: [1, 1, 2] }], attributes: { axis: 1 } },
    { inputs: [[4, 3], { fed: [3, 0, -1, 1], dims: [2, 2] }] },
    { inputs: [[2, 4], { fed: [3, 0, 3, 1, 3, -4], dims: [2, 3] }], attributes: { axis: 1 } },
    { inputs: [[2, 3, 2], { fed: [1], dims: [] }], attributes: { axis: 1 } },
    { inputs: [[4, 2], { fed: [2, 2], dims: [1, 2] }], opset: 16 },
    { inputs: [[4, 2], { fed: [], dims: [0] }] },
    { inputs: [[4, 2], { fed: [], dims: [0] }], opset: 13 },
    // Before opset 16: fewer rows than indices, and more.
    { inputs: [[4, 3], { fed: [3, 0, -1, 3], dims: [2, 2] }], opset: 13 },
    { inputs: [[2, 4, 3], { fed: [3, 0, 3], dims: [3] }], attributes: { axis: 1 }, opset: 14 },
    { inputs: [[9, 2], { fed: [3, -9, -6, 0, 8], dims: [5] }], opset: 15 },
    { inputs: [[9, 2], { fed: [3, -9, -6, 0, 8], dims: [5] }], opset: 11 },
    { inputs: [[2, 5, 2], { fed: [4, 0, -1, 0], dims: [2, 2] }], attributes: { axis: -2 }, opset: 9 },
    { inputs: [[2, 7], { ints: [4, 0, 4] }], attributes: { axis: 1 }, opset: 9 },
  ],
  GatherElements: [
    { inputs: [[3, 2], { fed: [0, 2, 2, 2], dims: [2, 2] }] },
    { inputs: [[2, 4], { fed: [3, 0, -1, 3, 1, 1], dims: [2, 3] }], attributes: { axis: -1 } },
    { inputs: [[3, 2, 2], { ints: [1, 0, 1, 1], dims: [1, 2, 2] }], attributes: { axis: 1 } },
    { inputs: [[2, 3], { fed: [1, 1, 0, -1, 0, 1], dims: [2, 3] }], opset: 15 },
    { inputs: [[2, 5], { fed: [3, -1, 4, 0], dims: [2, 2] }], attributes: { axis: 1 }, opset: 13 },
    { inputs: [[3, 4, 2], { fed: [3, 0, 1, 3], dims: [2, 2, 1] }], attributes: { axis: -2 }, opset: 11 },
  ],
  GatherND: [
    { inputs: [[3, 2], { fed: [0, 2, 2], dims: [3, 1] }] },
    { inputs: [[3, 2, 2], { fed: [2, 0, -1, -2, 0, 1], dims: [3, 2] }] },
    { inputs: [[2, 3, 2], { fed: [2, 2, 0, -1], dims: [2, 2, 1] }], attributes: { batch_dims: 1 } },
    { inputs: [[2, 2, 3, 2], { fed: [0, 1, 2, 1, 1, 1, -1, -1], dims: [2, 2, 1, 2] }], attributes: { batch_dims: 2 } },
    { inputs: [[3, 2], { ints: [2, 1], dims: [2] }] },
    { inputs: [[3, 2, 2], { fed: [2, 0, -1, -2, 0, 1], dims: [3, 2] }], opset: 15 },
    { inputs: [[2, 3, 2], { fed: [2, 2, 0, -1, 1, 1, 1, 0], dims: [2, 4, 1] }], attributes: { batch_dims: 1 }, opset: 12 },
  ],
  ScatterND: [
    { inputs: once },
    { inputs: [[2, 3, 2], { fed: [0, 2, 1, -3], dims: [2, 2] }, [2, 2]], opset: 13 },
    { inputs: twice, attributes: { reduction: 'add' } },
    { inputs: twice, attributes: { reduction: 'mul' } },
    { inputs: [distinct([4]), twice[1], distinct([4])], attributes: { reduction: 'max' } },
    { inputs: [distinct([4]), twice[1], distinct([4])], attributes: { reduction: 'min' } },
  ],
  ScatterElements: [
    { inputs: [[3, 2], { fed: [2, 0, 1, -2], dims: [2, 2] }, [2, 2]] },
    { inputs: [[2, 4], { fed: [2, -1], dims: [2, 1] }, [2, 1]], attributes: { axis: 1 }, opset: 11 },
    { inputs: elements, attributes: { axis: 1, reduction: 'add' } },
    { inputs: elements, attributes: { axis: -1, reduction: 'mul' } },
    { inputs: [distinct([3, 4]), elements[1], distinct([2, 3])], attributes: { axis: 1, reduction: 'max' } },
    { inputs: [distinct([3, 4]), elements[1], distinct([2, 3])], attributes: { axis: 1, reduction: 'min' } },
  ],
  Tile: [
    { inputs: [[2, 3], { ints: [2, 1] }] },
    { inputs: [[2, 1, 3], { ints: [1, 4, 2] }] },
    { inputs: [[2, 3], { ints: [1, 1] }] },
  ],
  DepthToSpace: [
    { inputs: [[2, 8, 2, 3]], attributes: { blocksize: 2 } },
    { inputs: [[1, 12, 1, 2]], attributes: { blocksize: 2, mode: 'CRD' } },
    { inputs: [[1, 9, 2, 1]], attributes: { blocksize: 3, mode: 'DCR' } },
  ],
  SpaceToDepth: [{ inputs: [[2, 2, 4, 6]], attributes: { blocksize: 2 } }, { inputs: [[1, 1, 3, 6]], attributes: { blocksize: 3 } }],
}; // prettier-ignore
