/** @file Inferred types, shapes and integer contents against what ONNX Runtime really computes. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { vitModel } from '../../../../test/fixtures/vit.ts';
import { caseFolders } from '../../../../test/support/caseFolders.ts';
import { modelFrom, runOnce } from '../../../../test/support/graphs.ts';
import { readSafetensors } from '../adapter/safetensors.ts';
import { type Attributes, GraphBuilder, type Value } from '../graph/builder.ts';
import { openOnnx } from '../graph/onnxFile.ts';
import type { ModelProto } from '../graph/proto.ts';
import { isStatic, type Dim, type ValueType } from '../graph/value.ts';
import { type Feeds, float32, int64, type Tensor } from '../runtime/tensor.ts';
import { add, broadcast, divideExactly, multiply, product, subtract, symbol } from './dim.ts';
import { inferNode } from './infer.ts';
import { declaredType, inferGraph } from './inferGraph.ts';

/** Every value of the main graph, computed. Exposing all of them also keeps the runtime from fusing nodes. */
async function allValues(model: ModelProto, feeds: Feeds): Promise<Record<string, Tensor>> {
  const names = [...new Set(model.graph!.node!.flatMap(({ output }) => output!.filter(Boolean)))];
  return runOnce({ ...model, graph: { ...model.graph, output: names.map((name) => ({ name })) } }, feeds);
}

/** What was inferred wrongly: empty when all that is claimed is true. `known` counts the claims. */
function compare(types: ReadonlyMap<string, ValueType>, real: Readonly<Record<string, Tensor>>, symbols: ReadonlyMap<string, number>): { wrong: string[]; unknown: string[]; known: number } {
  const wrong: string[] = [];
  const unknown: string[] = [];
  let known = 0;
  const size = (dim: Dim): number | undefined => (typeof dim === 'number' ? dim : symbols.get(dim));
  for (const [name, { type, dims, data }] of Object.entries(real)) {
    const inferred = types.get(name) ?? {};
    if (inferred.type && inferred.type !== type) wrong.push(`${name}: ${inferred.type}, really ${type}`);
    if (!inferred.shape) unknown.push(name);
    else if (inferred.shape.length !== dims.length || inferred.shape.some((dim, i) => (size(dim) ?? dims[i]) !== dims[i])) {
      wrong.push(`${name}: [${inferred.shape.join(', ')}], really [${dims.join(', ')}]`);
    } else known++;
    const isWrong = inferred.ints && (inferred.ints.length !== data.length || inferred.ints.some((value, i) => (size(value) ?? Number(data[i])) !== Number(data[i])));
    if (isWrong) wrong.push(`${name} holds ${inferred.ints!.join()}, really ${[...data].join()}`);
  }
  return { wrong, unknown, known };
}

/** Sizes of the named dimensions of the inputs. */
function symbolsOf(model: ModelProto, feeds: Feeds): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const info of model.graph!.input!) {
    declaredType(info).shape?.forEach((dim, i) => {
      if (typeof dim === 'string' && feeds[info.name!]) sizes.set(dim.startsWith('?') ? `?${info.name}.${i}` : dim, feeds[info.name!]!.dims[i]!);
    });
  }
  return sizes;
}

async function check(model: ModelProto, feeds: Feeds): Promise<{ bound: ReturnType<typeof compare>; symbolic: ReturnType<typeof compare> }> {
  const real = await allValues(model, feeds);
  const shapes = Object.fromEntries(Object.entries(feeds).map(([name, { dims }]) => [name, dims]));
  return {
    bound: compare(inferGraph(model, { shapes }), real, new Map()),
    symbolic: compare(inferGraph(model), real, symbolsOf(model, feeds)),
  };
}

describe('models', () => {
  test('a Vision Transformer, bound and with a symbolic batch', async () => {
    const model = vitModel({ hidden: 16, layers: 1, heads: 2, image: 16, patch: 8, classes: 3 });
    const { bound, symbolic } = await check(model, { pixel_values: float32(new Float32Array(2 * 3 * 16 * 16), [2, 3, 16, 16]) });
    expect(bound).toMatchObject({ wrong: [], unknown: [] });
    expect(symbolic).toMatchObject({ wrong: [], unknown: [] });
  });

  test.each(caseFolders().filter(([, folder]) => existsSync(join(folder, 'inputs.safetensors'))))('%s', async (_, folder) => {
    const { model } = openOnnx(join(folder, 'model.onnx'));
    const { tensors } = await readSafetensors(join(folder, 'inputs.safetensors'));
    const feeds = Object.fromEntries((model.graph.input ?? []).flatMap(({ name }) => (tensors.has(name!) ? [[name!, tensors.get(name!)!]] : [])));
    const { bound, symbolic } = await check(model, feeds);
    expect(bound).toMatchObject({ wrong: [], unknown: [] });
    expect(symbolic.wrong).toEqual([]);
  });
});
