/** @file Built graphs against torch: every checkpoint case. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { OrtRuntime, type Feeds, type Tensor } from '@onnx-lora/sdk';
import { parseSafetensors, sessionModel } from '@onnx-lora/sdk/core';
import { buildGraphs } from './buildGraphs.ts';

const roots = ['../shared/oracle/checkpoints', '../shared/oracle/checkpoints-real', 'packages/build/fixtures'];
const folders = roots.filter((root) => existsSync(root)).flatMap((root) => readdirSync(root).map((name) => path.join(root, name))).filter((folder) => existsSync(path.join(folder, 'case.json')));

interface Run { readonly id: string; readonly graph: string; readonly inputs: readonly string[]; readonly outputs: readonly string[]; readonly optional?: boolean }

describe.each(folders)('%s', (folder) => {
  const description = JSON.parse(readFileSync(path.join(folder, 'case.json'), 'utf8')) as { runs?: Run[]; refused?: string };
  it('is built', async () => {
    if (description.refused) {
      await expect(buildGraphs(folder)).rejects.toThrow();
      await buildGraphs(folder).catch((error: Error) => console.log(error.message));
      return;
    }
    const { graphs, leftOut } = await buildGraphs(folder);
    const golden = parseSafetensors(readFileSync(path.join(folder, 'golden.safetensors')), 'golden').tensors;
    const problems: string[] = [];
    const runtime = new OrtRuntime();
    for (const run of description.runs!) {
      const graph = graphs.get(run.graph);
      if (!graph) { problems.push(`${run.id}: no graph ${run.graph}`); continue; }
      const session = await runtime.createSession({ ...sessionModel(graph), name: folder });
      const feeds: Record<string, Tensor> = {};
      for (const info of graph.graph!.input!) {
        const given = golden.get(`${run.id}.input.${info.name}`);
        if (given) feeds[info.name!] = given;
        else {
          const dims = info.type!.tensorType!.shape!.dim!.map((dim) => dim.dimValue === undefined ? (dim.dimParam === 'batch_size' ? [...golden].find(([name]) => name.startsWith(`${run.id}.input`))![1].dims[0]! : 0) : Number(dim.dimValue));
          if (info.name === 'attention_mask') {
            const { dims } = golden.get(`${run.id}.input.input_values`)!;
            feeds[info.name] = { type: 'int64', dims, data: new BigInt64Array(dims.reduce((a, b) => a * b, 1)).fill(1n) };
          } else feeds[info.name!] = { type: 'float32', dims, data: new Float32Array(dims.reduce((a, b) => a * b, 1)) };
        }
      }
      const outputs = await session.run(feeds as Feeds, run.outputs);
      for (const name of run.outputs) {
        const want = golden.get(`${run.id}.output.${name}`)!;
        const valid = golden.get(`${run.id}.valid.${name}`);
        const got = outputs[name]!;
        if (got.dims.join() !== want.dims.join()) { problems.push(`${run.id} ${name}: [${got.dims.join()}] for [${want.dims.join()}]`); continue; }
        let worst = 0;
        for (let i = 0; i < want.data.length; i++) {
          if (valid && !isValid(valid, want.dims, i)) continue;
          const [a, b] = [Number(got.data[i]), Number(want.data[i])];
          worst = Math.max(worst, Math.abs(a - b) / (1e-4 + 1e-3 * Math.abs(b)));
          if (Number.isNaN(a)) worst = Infinity;
        }
        if (worst > 1) problems.push(`${run.id} ${name}: ${worst.toFixed(2)} times the tolerance`);
      }
      await session.release();
    }
    console.log(folder, leftOut.join());
    expect(problems).toEqual([]);
  });
});

function isValid(valid: Tensor, dims: readonly number[], index: number): boolean {
  let at = 0;
  let rest = index;
  let stride = 1;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    const place = rest % dims[axis]!;
    rest = Math.floor(rest / dims[axis]!);
    const size = valid.dims[axis - (dims.length - valid.dims.length)] ?? 1;
    if (size > 1) at += place * stride;
    stride *= size;
  }
  return Number(valid.data[at]) === 1;
}
