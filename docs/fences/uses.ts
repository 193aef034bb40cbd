/** @file Uses of what fences export, by its name: code that only defines something has not run. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { float32, loadPlugins, openModel, type Tensor, train } from '@onnx-lora/sdk';
import { type GraphBuilder as Builder, type Task, type Value, GraphBuilder } from '@onnx-lora/sdk/tasks';
import {
  definePlugin,
  type Matrix,
  matrix,
  type Plugin,
  inferNode,
  tensorProto,
  writeOnnx,
} from '@onnx-lora/sdk/plugin';
import { AUDIO_READER, type AudioReader, speechPlugin } from '@onnx-lora/speech';
import { modelFrom, runOnce } from '../../test/support/graphs.ts';

async function logCosh(fence: (g: Builder, d: Value) => Value): Promise<void> {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'fence/' });
  const d: Value = { name: 'd', type: 'float32', shape: [3] };
  const differences = [-2, 0, 0.5];
  const cost = fence(g, d);
  const { data } = (await runOnce(modelFrom(g, [d], [cost]), { d: float32(differences, [3]) }))[cost.name]!;
  for (const [i, value] of differences.entries()) ok(Math.abs(Number(data[i]) - Math.log(Math.cosh(value))) < 1e-6);
}

function mixed(
  fence: (pixels: Tensor, labels: readonly number[], draw: number) => Record<'pixels' | 'labels', Tensor>,
) {
  const { pixels, labels } = fence(float32(new Float32Array(2 * 3 * 8 * 8), [2, 3, 8, 8]), [1, 7], 0);
  deepEqual([pixels.dims, labels.dims], [[2, 3, 8, 8], [2, 10]]); // prettier-ignore
}

/** Frames of one label are one letter. */
function textsOf(fence: (logits: Tensor) => string[]): void {
  const frames = float32(new Float32Array(3 * 16), [1, 3, 16]);
  for (const [frame, label] of [5, 6, 6].entries()) (frames.data as Float32Array)[frame * 16 + label] = 1;
  equal(fence(frames)[0]!.length, 2);
}

interface Row {
  readonly ids: readonly number[];
  readonly value: number;
}

async function regression(fence: (rows: readonly Row[], heldOut: readonly Row[]) => Task<Row>): Promise<void> {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'fence/' });
  const ids: Value = { name: 'input_ids', type: 'int64', shape: ['batch', 'seq'] };
  const weight = (name: string, dims: readonly number[]): Value => {
    g.initializers.push(tensorProto(name, float32(new Float32Array(dims[0]! * dims[1]!).fill(0.1), dims)));
    return { name, type: 'float32', shape: dims };
  };
  const mean = g.ReduceMean(g.Gather(weight('embedding.weight', [8, 4]), ids, 0), [1], false);
  g.Gemm(mean, weight('head.weight', [1, 4]), undefined, { transB: true });
  g.nodes.at(-1)!.output = ['logits'];
  writeOnnx('regression.onnx', modelFrom(g, [ids], [{ name: 'logits', type: 'float32', shape: ['batch', 1] }]));
  const rows = [0, 1].map((value) => ({ ids: [1 + value, 2, 3], value }));
  const model = await openModel('regression.onnx');
  await (
    await train(model, { task: fence(rows, rows), lora: { targetModules: ['head'] }, steps: 1 })
  ).done;
}

function compare(
  fence: (train: Matrix, validation: Matrix, y: Record<'train' | 'validation' | 'lora', number[]>) => void,
) {
  const numbers = [0.1, 0.9, 0.3, 0.7, 0.5, 0.2, 0.8, 0.4, 0.6, 0];
  const embeddings = matrix(10, 1, Float64Array.from(numbers));
  fence(embeddings, embeddings, { train: numbers, validation: numbers, lora: numbers });
}

/** A plugin's format of sound, asked for what lies in a file of it. */
async function audioFormat(plugin: Plugin): Promise<void> {
  let reader: AudioReader | undefined;
  const needy = definePlugin({
    name: 'reads-sound',
    needs: { reader: AUDIO_READER },
    tasks: (services) => {
      ({ reader } = services);
      return [];
    },
  });
  loadPlugins([speechPlugin, plugin, needy]);
  await writeFile('call.raw8', Uint8Array.of(0x2a, 128, 192));
  const { channels } = await reader!.read('call.raw8');
  deepEqual([...channels[0]!], [0, 0.5]);
}

/** The values have the types that their fences say. */
export const uses: Readonly<Record<string, (value: never) => unknown>> = {
  compare,
  default: audioFormat,
  logCosh,
  mixed,
  regression,
  textsOf,
};
