/** @file Damaged and hostile files end in an OnnxLoraError: no crash, no hang, no memory beyond the file's own size. */

import { describe, expect, test } from 'vitest';
import { GraphBuilder, type Value } from '../builder.ts';
import { findSites } from '../../match/sites.ts';
import { prepareForMatching } from '../../match/view.ts';
import { fuse } from '../../match/fusions.ts';
import { inferNode } from '../../ops/infer.ts';
import { inferGraph, opsetOf } from '../../ops/inferGraph.ts';
import { inlineKnownBranches, listsAsSlices } from '../../ops/rewrites/simplify.ts';
import { OnnxLoraError } from '../../errors.ts';
import { Random } from '../../runtime/random.ts';
import { float32, int64 } from '../../runtime/tensor.ts';
import { memorySource, readBytes } from '../bytes.ts';
import { decodeModel } from './decode.ts';
import { weightsDigest } from './digest.ts';
import { encodeModel } from './encode.ts';
import { parseOnnx } from './onnxFile.ts';
import { modelFrom } from '../../../../../test/support/graphs.ts';
import { attributeType, type GraphProto, type ModelProto } from '../proto.ts';
import { readTensor, tensorProto } from '../tensorData.ts';

/** A model with a bit of everything: shapes computed in the graph, a branch, a Constant, a GELU, packed numbers. */
function sample(): ModelProto {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '/m/' });
  const x: Value = { name: 'x', type: 'float32', shape: ['batch', 4, 4] };
  const w = g.constant(
    float32(
      Float32Array.from({ length: 32 }, (_, i) => i),
      [4, 8],
    ),
  );
  const y = g.Add(g.MatMul(x, w), g.constant(float32(new Float32Array(8), [8])));
  const gelu = g.Mul(g.Mul(y, g.Add(g.Erf(g.Div(y, Math.SQRT2)), 1)), 0.5);
  const flat = g.Reshape(gelu, g.Concat([g.Slice(g.Shape(x), [0], [1], [0]), g.ints([-1])], 0));
  const padded = g.Pad(g.Slice(g.Transpose(flat, [1, 0]), [1], [9], [0], [2]), [0, 1, 0, 1]);
  const [first] = g.Split(padded, [1, 3], 0);
  const conv = g.emit('Conv', [g.Unsqueeze(x, [0]), g.constant(float32(new Float32Array(8), [1, 2, 2, 2]))], {
    group: 1,
    pads: [1, 1, 0, 0],
  });
  const model = modelFrom(g, [x], [first!, conv]);
  const branch: GraphProto = {
    name: 'b',
    node: [{ opType: 'Neg', input: ['x'], output: ['z'] }],
    output: [{ name: 'z' }],
  };
  model.graph!.node!.push(
    {
      opType: 'Constant',
      name: 'c',
      output: ['c'],
      attribute: [{ name: 'value', type: 4, t: tensorProto('t', int64([1, 2], [2])) }],
    },
    {
      opType: 'If',
      name: 'i',
      input: ['c'],
      output: ['if'],
      attribute: [{ name: 'then_branch', type: attributeType.graph, g: branch }],
    },
  );
  model.graph!.initializer!.push({ name: 'v', dims: [3], dataType: 7, int64Data: Uint8Array.of(1, 2, 0x80, 1) });
  return model;
}

const bytes = Uint8Array.from(Buffer.concat(encodeModel(sample()).map(readBytes)));

/** Everything that opening does with a model. */
function digest(model: ModelProto & { graph: GraphProto }): void {
  for (const tensor of model.graph.initializer ?? []) readTensor(tensor);
  inferGraph(model, { dims: { batch: 2 } });
  inferGraph({ ...model, graph: fuse(model.graph) });
  listsAsSlices(model.graph, opsetOf(model));
  const view = prepareForMatching(model);
  inlineKnownBranches(view.graph, inferGraph(view));
  findSites(model.graph);
  weightsDigest(model.graph);
}

function attempt(damaged: Uint8Array): OnnxLoraError | undefined {
  try {
    digest(parseOnnx(memorySource(damaged), 'damaged.onnx'));
    return undefined;
  } catch (error) {
    if (error instanceof OnnxLoraError) return error;
    throw new Error(`Not an OnnxLoraError, for ${Buffer.from(damaged).toString('base64')}`, { cause: error });
  }
}

describe('damage', () => {
  test('the sample itself is sound', () => expect(attempt(bytes)).toBeUndefined());

  test('truncated anywhere', () => {
    const codes = new Set<string>();
    for (let length = 0; length < bytes.length; length += 9)
      codes.add(attempt(bytes.subarray(0, length))?.code ?? 'none');
    expect([...codes]).toEqual(['MODEL_INVALID']);
  });

  test('bytes changed, removed, inserted and repeated', () => {
    const random = new Random(7);
    for (let run = 0; run < 400; run++) {
      let damaged = bytes.slice();
      for (let k = random.index(3); k >= 0; k--) {
        const at = random.index(damaged.length);
        const kind = random.index(4);
        const length = 1 + random.index(6);
        if (kind === 0) damaged[at] = [0, 0x7f, 0x80, 0xff, random.index(256)][random.index(5)]!;
        else if (kind === 1) damaged = Uint8Array.from([...damaged.subarray(0, at), ...damaged.subarray(at + length)]);
        else if (kind === 2)
          damaged = Uint8Array.from([
            ...damaged.subarray(0, at),
            ...new Uint8Array(length).fill(random.index(256)),
            ...damaged.subarray(at),
          ]);
        else
          damaged = Uint8Array.from([
            ...damaged.subarray(0, at),
            ...damaged.subarray(at, at + 40),
            ...damaged.subarray(at),
          ]);
      }
      attempt(damaged);
    }
    expect(true).toBe(true);
  });

  test('well-formed messages with fields removed, exchanged or out of range', () => {
    const random = new Random(9);
    const pick = <T>(list: readonly T[]): T => list[random.index(list.length)]!;
    for (let run = 0; run < 1000; run++) {
      const model = decodeModel(memorySource(bytes), 'sample');
      for (let k = random.index(3); k >= 0; k--) {
        const places: [holder: Record<string, unknown>, key: string][] = [];
        const walk = (value: unknown): void => {
          if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
          for (const key of Object.keys(value)) {
            places.push([value as Record<string, unknown>, key]);
            walk((value as Record<string, unknown>)[key]);
          }
        };
        walk(model);
        const [holder, key] = pick(places);
        const value = holder[key];
        if (Array.isArray(holder)) holder.splice(Number(key), 1);
        else if (typeof value === 'number')
          holder[key] = pick([-1, 0, 1, 2, 5, 99, 2 ** 40, -(2 ** 40), 2 ** 53 - 1, 2n ** 62n, -(2n ** 63n)]);
        else if (typeof value === 'string')
          holder[key] = pick([
            '',
            '__proto__',
            'x',
            'Gemm',
            'Split',
            'Gather',
            'Range',
            'ConstantOfShape',
            'Resize',
            'TopK',
            'Tile',
            'Einsum',
            'OneHot',
            'Unsqueeze',
            'DepthToSpace',
            'MaxPool',
            'GatherND',
            'constructor',
          ]);
        else if (Array.isArray(value) && typeof value[0] === 'number')
          value.push(pick([-1, 0, 3, 1e6, 2 ** 31, 2n ** 60n]));
        else if (Array.isArray(value)) value.push(...value.slice(random.index(2)));
        else delete holder[key];
      }
      attempt(Uint8Array.from(Buffer.concat(encodeModel(model).map(readBytes))));
    }
    expect(({} as Record<string, unknown>)['shape']).toBeUndefined();
  });

  test('noise', () => {
    const random = new Random(8);
    for (let run = 0; run < 200; run++) {
      attempt(Uint8Array.from({ length: random.index(200) }, () => random.index(256)));
    }
    expect(
      attempt(Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00\n'))?.message,
    ).toMatchInlineSnapshot(
      `""damaged.onnx" is not a readable ONNX model: unknown wire type 6 at byte 1. Check that the download is complete and that it is an .onnx file, not a Git LFS pointer."`,
    );
  });
});
