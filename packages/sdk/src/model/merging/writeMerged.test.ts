/** @file A merged file appears only where ONNX Runtime loads it. */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet } from '@onnx-lora/testing';
import { afterAll, expect, it, vi } from 'vitest';
import { openOnnx, openStaged, writeOnnx } from '../../graph/file/onnxFile.ts';
import { stageOnnxFiles } from '../../graph/file/stagedFiles.ts';
import type { ModelProto, NodeProto } from '../../graph/proto.ts';
import { OrtRuntime } from '../../runtime/ort.ts';
import type { Model } from '../loaded/model.ts';
import { openModel } from '../openModel.ts';
import { writeMerged } from './writeMerged.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-write-merged-'));
afterAll(() => rmSync(folder, { recursive: true }));
const fileOf = (name: string): string => path.join(folder, `${name}.onnx`);

/** A model of a file, opened with a runtime that counts what it loads. */
async function opened(name: string, model: ModelProto): Promise<{ base: Model; loads: () => number }> {
  writeOnnx(fileOf(name), model);
  const runtime = new OrtRuntime();
  const spy = vi.spyOn(runtime, 'createSession');
  return { base: await openModel(fileOf(name), { runtime }), loads: () => spy.mock.calls.length };
}

const withNodes = ({ model }: Model['stored'], node: NodeProto[]): ModelProto => ({ ...model, graph: { ...model.graph, node } }); // prettier-ignore

it('two nodes of one name are refused, and what was there stays', async () => {
  const { base } = await opened('base', linearNet());
  const [first, ...others] = base.stored.model.graph.node!;
  const model = withNodes(base.stored, [first!, ...others.map((each) => ({ ...each, name: first!.name! }))]);
  const file = fileOf('broken');
  await expect(
    writeMerged([{ file, model, base }], [[path.join(folder, 'beside.json'), new Uint8Array(2)]]),
  ).rejects.toMatchObject({
    code: 'RUNTIME_FAILED',
    message: expect.stringMatching(
      /^The merged model would not load, so ".*broken.onnx" was not written.*two nodes with same node name/s,
    ) as string,
  });
  expect(existsSync(file)).toBe(false);
  expect(existsSync(path.join(folder, 'beside.json'))).toBe(false);
  writeFileSync(file, 'old');
  await expect(writeMerged([{ file, model, base }], [])).rejects.toThrow('was not written');
  expect(readFileSync(file, 'utf8')).toBe('old');
});

it('a graph with other nodes is loaded once, and one with other numbers is not', async () => {
  const { base, loads } = await opened('counted', linearNet());
  const { model } = base.stored;
  await writeMerged([{ file: fileOf('numbers'), model: { ...model, graph: { ...model.graph } }, base }], []);
  expect(loads()).toBe(0);
  const node = model.graph.node!.map((each) => ({ ...each }));
  await writeMerged([{ file: fileOf('nodes'), model: withNodes(base.stored, node), base }], []);
  expect(loads()).toBe(1);
});

it('where the base does not load either, that is told and nothing held against the merged model', async () => {
  const own = linearNet();
  const other = { ...own.graph.node!.at(-1)!, domain: 'com.example', opType: 'Unknown' };
  const { base } = await opened('unloadable', { ...own, opsetImport: [...own.opsetImport!, { domain: 'com.example', version: 1 }], graph: { ...own.graph, node: [...own.graph.node!.slice(0, -1), other] } }); // prettier-ignore
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const node = base.stored.model.graph.node!.map((each) => ({ ...each }));
  await writeMerged([{ file: fileOf('unchecked'), model: withNodes(base.stored, node), base }], []);
  expect(warned.mock.calls.flat()).toContainEqual(expect.stringContaining('does not load its base'));
  warned.mockRestore();
  expect(existsSync(fileOf('unchecked'))).toBe(true);
});

it('files are read before they have their names, also the weights beside them', () => {
  const file = fileOf('staged');
  const staged = stageOnnxFiles([{ file, model: linearNet() }], [], 0);
  const { model } = openStaged(staged, file);
  expect(existsSync(file)).toBe(false);
  const weights = model.graph.initializer!.map(({ rawData }) => rawData);
  expect(staged.commit()).toEqual([file, `${file}.data`]);
  const after = openOnnx(file).model;
  expect(after.graph.node).toEqual(model.graph.node);
  expect(weights.map((each) => each!.length)).toEqual(after.graph.initializer!.map(({ rawData }) => rawData!.length));
});
