/** @file The gradients of every row of the table on the WebGPU provider, held against the CPU's; and what falls back. */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { differentiated } from '../../../../test/support/differentiated.ts';
import { checkOf } from '../../../../test/support/gradcheck.ts';
import type { Cases } from '../../../../test/support/caseForms.ts';
import { cases } from '../../../../test/support/gradientCases.ts';
import { difference, modelFrom } from '../../../../test/support/graphs.ts';
import { OnnxLoraError } from '../errors.ts';
import { GraphBuilder, type Value } from '../graph/builder.ts';
import { sessionModel } from '../ops/session/sessionModel.ts';
import type { ModelProto } from '../graph/proto.ts';
import { inferNode } from '../ops/infer.ts';
import { OrtRuntime } from '../runtime/ort.ts';
import type { Session } from '../runtime/session.ts';
import { float32 } from '../runtime/tensor.ts';
import type { DifferentiableOp } from './rules.ts';
import { isNightly } from '../../../../test/support/nightly.ts';

const runtime = new OrtRuntime();

function sessionOn(provider: 'cpu' | 'webgpu', model: ModelProto, mergesEqual = true): Promise<Session> {
  const options = { provider, threads: 1, purpose: 'training', mergesEqual } as const;
  return runtime.createSession({ ...sessionModel(model), name: 'backward' }, options);
}

/** Undefined when a WebGPU session can be made here. */
const whyNoWebgpu = await (async (): Promise<string | undefined> => {
  const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: '' });
  const x = { name: 'x', type: 'float32', shape: [2] } as const;
  try {
    await (await sessionOn('webgpu', modelFrom(g, [x], [g.Neg(x)]))).release();
    return undefined;
  } catch (error) {
    if (error instanceof OnnxLoraError && error.code === 'PROVIDER_UNAVAILABLE') return error.message;
    throw error;
  }
})();
// The report of the tests then says why.
const why = whyNoWebgpu === undefined ? '' : `: skipped. ${whyNoWebgpu}`;

/** Operators on the CPU by the differentiated operator, from docs/concepts/autodiff.md. */
const documented = new Map(
  readFileSync(new URL('../../../../docs/concepts/autodiff.md', import.meta.url), 'utf8')
    .split('## On WebGPU')[1]!
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .filter((cells) => cells.length === 5 && cells[1]!.startsWith('`'))
    .map(([, op, nodes]) => [op!.slice(1, -1), nodes!]),
);

/** Operators that ran on the CPU in one check, in the words of the table. */
interface Placement {
  readonly opset: number;
  readonly fallenBack: ReadonlySet<string>;
}

/** The cell of the table for an operator: of what only fell back in its old forms, which those are. */
function cellOf(placements: readonly Placement[]): string {
  const nodes = [...new Set(placements.flatMap(({ fallenBack }) => [...fallenBack]))].sort();
  return nodes
    .map((node) => {
      const opsets = (isIn: boolean): number[] =>
        placements.filter(({ fallenBack }) => fallenBack.has(node) === isIn).map(({ opset }) => opset);
      const [newest, others] = [Math.max(...opsets(true)), opsets(false)];
      return others.length > 0 && newest < Math.min(...others) ? `${node} before opset ${Math.min(...others)}` : node;
    })
    .join(', ');
}

/** Operators of transformers and convolutional networks: a software driver takes minutes for the whole table. */
const everyChange: ReadonlySet<string> = new Set<DifferentiableOp>([
  'MatMul', 'Gemm', 'Conv', 'Add', 'Mul', 'Softmax', 'LayerNormalization', 'Gelu', 'Gather', 'Transpose', 'ReduceMean',
]); // prettier-ignore
const checked = (Object.entries(cases) as [DifferentiableOp, Cases][]).filter(
  ([op]) => isNightly || everyChange.has(op),
);

describe.skipIf(whyNoWebgpu !== undefined)(`gradients on WebGPU are those of the CPU${why}`, () => {
  test.each(checked)('%s', async (op, checks) => {
    const placements: Placement[] = [];
    for (const check of checks) {
      if (check.webgpu) continue;
      const { backward, feeds, gradients } = checkOf(op, check, 'float32');
      const [cpu, webgpu] = [await sessionOn('cpu', backward), await sessionOn('webgpu', backward)];
      const [expected, actual] = [await cpu.run(feeds), await webgpu.run(feeds)];
      const { fallenBack } = await webgpu.providerReport!(feeds);
      await Promise.all([cpu.release(), webgpu.release()]);
      for (const [input, { name }] of gradients) {
        const what = `input ${input} of ${JSON.stringify(check)}`;
        expect(difference(actual[name], expected[name]), what).toBeLessThan(1e-3);
      }
      const nodes = fallenBack
        .filter(({ reason }) => reason === 'no-kernel')
        .map((node) => (node.op === op && node.name.startsWith('f/') ? 'itself' : `\`${node.op}\``));
      placements.push({ opset: check.opset ?? 18, fallenBack: new Set(nodes) });
    }
    expect(cellOf(placements), 'the table in docs/concepts/autodiff.md, "On WebGPU"').toBe(documented.get(op) ?? '');
  });

  test('where a LayerNormalization of the gradient alone reads a sum', async () => {
    const shapes = { x: [1, 2, 4], z: [1, 2, 4], scale: [4] };
    const build = (g: GraphBuilder, { x, z, scale }: Readonly<Record<string, Value>>): Value => {
      const y = g.emit('LayerNormalization', [g.Add(x!, z!), scale!], { axis: -1 });
      return g.ReduceSum(g.Mul(y, y), [0, 1, 2], false);
    };
    const { model, backward } = differentiated(shapes, ['x', 'scale'], build, 18, new Set(['Add_0']));
    const values = (size: number): number[] => Array.from({ length: size }, (_, i) => Math.sin(i * i + size));
    const feeds = {
      x: float32(values(8), [1, 2, 4]),
      z: float32(values(8), [1, 2, 4]),
      scale: float32(values(4), [4]),
    };
    const [cpu, webgpu] = [await sessionOn('cpu', model, false), await sessionOn('webgpu', model, false)];
    const [expected, actual] = [await cpu.run(feeds), await webgpu.run(feeds)];
    await Promise.all([cpu.release(), webgpu.release()]);
    for (const { name } of backward.gradients.values())
      expect(difference(actual[name], expected[name])).toBeLessThan(1e-3);
  });
});
