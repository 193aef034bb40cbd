/** @file Models of gigabytes that take no disk: how long they take to open, and how much memory. */

import { float32, loadAdapter, merge, openModel } from '@onnx-lora/sdk';
import { writeSafetensors } from '@onnx-lora/sdk/data';
import { encodeModel, tensorName } from '@onnx-lora/sdk/core';
import { type Bytes, type ModelProto, openOnnx, type TensorProto, writeOnnx } from '@onnx-lora/sdk/plugin';
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';

/** Properties of a large model. */
export interface LargeModel {
  /** How many nodes; a fourth of them are linear layers. */
  readonly nodes: number;
  /** Bytes of all weights together. */
  readonly bytes: number;
  /** Whether the weights lie beside the .onnx file or in it. */
  readonly weights: 'external' | 'inline';
}

const WIDTH = 1024;
const NODES_PER_LAYER = 4;
const DATA_FILE = 'model.onnx.data';

/** Writes a model whose weights are holes in sparse files. */
export function writeLargeModel(folder: string, { nodes, bytes, weights }: LargeModel): string {
  const layers = Math.floor(nodes / NODES_PER_LAYER);
  const columns = Math.floor(bytes / layers / WIDTH / 4);
  const length = WIDTH * columns * 4;
  const hole = path.join(folder, DATA_FILE);
  writeSparse(hole, [{ path: hole, offset: 0, length: layers * length }]);
  const weight = (layer: number): TensorProto => ({
    name: `encoder.layer.${layer}.dense.weight`,
    dims: [WIDTH, columns],
    dataType: 1,
    ...(weights === 'inline'
      ? { rawData: { path: hole, offset: 0, length } }
      : {
          dataLocation: 1,
          externalData: [
            { key: 'location', value: DATA_FILE },
            { key: 'offset', value: String(layer * length) },
            { key: 'length', value: String(length) },
          ],
        }),
  });
  const file = path.join(folder, 'model.onnx');
  writeSparse(file, encodeModel(modelOf(layers, columns, weight)));
  return file;
}

function modelOf(layers: number, columns: number, weight: (layer: number) => TensorProto): ModelProto {
  const range = Array.from({ length: layers }, (_, layer) => layer);
  return {
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'large',
      input: [{ name: 'x', type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'batch' }, { dimValue: WIDTH }] } } } }], // prettier-ignore
      output: [{ name: `${scopeOf(layers - 1)}/Erf` }],
      initializer: range.flatMap((layer) => [
        weight(layer),
        { name: `encoder.layer.${layer}.dense.bias`, dims: [columns], dataType: 1, rawData: new Uint8Array(columns * 4) },
      ]), // prettier-ignore
      node: range.flatMap((layer) => {
        const [scope, prefix] = [scopeOf(layer), `encoder.layer.${layer}.dense`];
        return [
          { opType: 'MatMul', name: `${scope}/dense/MatMul`, input: ['x', `${prefix}.weight`], output: [`${scope}/product`] },
          { opType: 'Add', name: `${scope}/dense/Add`, input: [`${prefix}.bias`, `${scope}/product`], output: [`${scope}/sum`] },
          { opType: 'Relu', name: `${scope}/act/Relu`, input: [`${scope}/sum`], output: [`${scope}/Relu`] },
          { opType: 'Erf', name: `${scope}/act/Erf`, input: [`${scope}/Relu`], output: [`${scope}/Erf`] },
        ]; // prettier-ignore
      }),
    },
  };
}

function scopeOf(layer: number): string {
  return `/encoder/layer.${layer}`;
}

/** Writes bytes, and a hole in the place of each range of a file. */
function writeSparse(file: string, chunks: readonly Bytes[]): void {
  const descriptor = openSync(file, 'w');
  let end = 0;
  for (const chunk of chunks) {
    if (chunk instanceof Uint8Array) writeSync(descriptor, chunk, 0, chunk.length, end);
    end += chunk.length;
  }
  ftruncateSync(descriptor, end);
  closeSync(descriptor);
}

/** Cost of opening a model in a fresh process. */
export interface OpeningFigures {
  readonly modules: number;
  /** Milliseconds to open it and list its modules. */
  readonly ms: number;
  /** Peak growth of resident memory. */
  readonly grownMb: number;
}

/** Opens a model and lists its modules. */
export async function openingOf(file: string): Promise<OpeningFigures> {
  const before = residentMb();
  const start = performance.now();
  const model = await openModel(file);
  const modules = model.modules().length;
  const ms = performance.now() - start;
  return { modules, ms, grownMb: peakMb() - before };
}

const RANK = 4;

/** Writes an adapter of every linear layer of a model. */
export async function writeLargeAdapter(folder: string, file: string): Promise<void> {
  const tensors = new Map(
    (await openModel(file)).modules().flatMap(({ path: module, weightShape: [out, width] }) => [
      [tensorName(module, 'lora_A'), float32(new Float32Array(RANK * width!).fill(0.01), [RANK, width!])],
      [tensorName(module, 'lora_B'), float32(new Float32Array(out! * RANK).fill(0.01), [out!, RANK])],
    ]),
  );
  mkdirSync(folder, { recursive: true });
  await writeSafetensors(path.join(folder, 'adapter_model.safetensors'), tensors);
  const config = { peft_type: 'LORA', r: RANK, lora_alpha: RANK, target_modules: 'all-linear' };
  writeFileSync(path.join(folder, 'adapter_config.json'), JSON.stringify(config));
}

/** Cost of writing a model. */
export interface WritingFigures {
  readonly files: readonly string[];
  readonly seconds: number;
  /** Peak growth of resident memory. */
  readonly grownMb: number;
}

/** Merges an adapter into a model. */
export async function mergingOf(file: string, adapterFolder: string, out: string): Promise<WritingFigures> {
  const [model, adapter] = [await openModel(file), await loadAdapter(adapterFolder)];
  const before = residentMb();
  const start = performance.now();
  const { files } = await merge(model, adapter, out);
  return { files, seconds: (performance.now() - start) / 1000, grownMb: peakMb() - before };
}

/** Writes a model's weights once more, beside the .onnx file where they take more than `inlineLimit` bytes. */
export function rewritingOf(file: string, out: string, inlineLimit?: number): WritingFigures {
  const before = residentMb();
  const start = performance.now();
  const files = writeOnnx(out, openOnnx(file).model, inlineLimit);
  return { files, seconds: (performance.now() - start) / 1000, grownMb: peakMb() - before };
}

function residentMb(): number {
  return process.memoryUsage.rss() / 2 ** 20;
}

/** The largest resident memory of this process until now. */
export function peakMb(): number {
  // On Linux maxRSS starts at the size of the process that started this one; VmHWM does not.
  const status = process.platform === 'linux' ? readFileSync('/proc/self/status', 'utf8') : '';
  const kilobytes = /^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS;
  return Number(kilobytes) / 1024;
}
