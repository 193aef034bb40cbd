/** @file Tests of the commands on a model that is published as several files: a tiny Whisper. */

import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { call, callJson, temporaryFolder } from '../../fixtures/call.ts';

const fixture = fileURLToPath(new URL('../../../../test/fixtures/whisperMerged', import.meta.url));
const adapter = path.join(fixture, 'adapter');

/** The folder of the model, where each test may do as it likes. */
function published(): string {
  const model = path.join(temporaryFolder(), 'whisper');
  mkdirSync(path.join(model, 'onnx'), { recursive: true });
  copyFileSync(path.join(fixture, 'config.json'), path.join(model, 'config.json'));
  copyFileSync(path.join(fixture, 'onnx/encoder_model.onnx'), path.join(model, 'onnx/encoder_model.onnx'));
  copyFileSync(path.join(fixture, 'onnx/decoder_model_merged.onnx'), path.join(model, 'onnx/decoder_model.onnx'));
  return model;
}

interface Inspected {
  readonly parts: readonly { readonly name: string; readonly outputs: Readonly<Record<string, unknown>> }[];
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly modules: readonly { readonly path: string }[];
}

it('inspects it as one', async () => {
  const model = published();
  const { parts, inputs, modules } = await callJson<Inspected>('inspect', model);
  expect(parts.map(({ name }) => name)).toEqual(['encoder_model', 'decoder_model']);
  expect(Object.keys(parts[0]!.outputs)).toEqual(['last_hidden_state']);
  expect(Object.keys(inputs)).toEqual(expect.arrayContaining(['input_features', 'decoder_input_ids']));
  expect(Object.keys(inputs)).not.toContain('encoder_hidden_states');
  const paths = modules.map((module) => module.path);
  expect(paths).toContain('model.encoder.layers.0.fc1');
  expect(paths).toContain('model.decoder.layers.0.fc1');
  const { stdout } = await call(['inspect', model]);
  expect(stdout).toContain('encoder_model.onnx: input_features → last_hidden_state');
  expect(stdout).toContain('decoder_model.onnx: input_ids, encoder_hidden_states, ');
});

it('merges into a folder, or into one file', async () => {
  const model = published();
  const out = path.join(temporaryFolder(), 'merged');
  const { files, modules } = await callJson<{ files: string[]; modules: string[] }>('merge', model, '--adapter', adapter, '-o', out); // prettier-ignore
  expect(files.map((file) => path.relative(out, file))).toEqual(['onnx/encoder_model.onnx', 'onnx/decoder_model.onnx', 'config.json']); // prettier-ignore
  expect(modules).toContain('model.encoder.layers.0.fc1');
  expect((await callJson<Inspected>('inspect', out)).parts).toHaveLength(2);
  const one = path.join(temporaryFolder(), 'one.onnx');
  const { stdout } = await call(['merge', model, '--adapter', adapter, '-o', one]);
  expect(stdout).toBe(`Wrote ${one}: ${modules.length} modules changed.\n`);
  const again = await call(['merge', model, '--adapter', adapter, '-o', out, '--overwrite']);
  expect(again.stdout).toBe(`Wrote ${out} (onnx/encoder_model.onnx, onnx/decoder_model.onnx, and what lies beside them): ${modules.length} modules changed.\n`); // prettier-ignore
});

it('says what is missing', async () => {
  const model = published();
  const noOut = await call(['merge', model, '--adapter', adapter]);
  expect(noOut.stderr).toContain('--out is missing: name the .onnx file or the folder to write');
  rmSync(path.join(model, 'onnx/encoder_model.onnx'));
  copyFileSync(path.join(model, 'onnx/decoder_model.onnx'), path.join(model, 'onnx/other.onnx'));
  const { code, stderr } = await call(['inspect', model]);
  expect(code).not.toBe(0);
  expect(stderr).toContain('but not encoder_model.onnx, without which the files are not a whole model');
});
