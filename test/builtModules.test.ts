/** @file The modules of built graphs are those of transformers, by the names of either version. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { loadAdapter, merge, type Model, openModel, previewLora, type Tensor } from '@onnx-lora/sdk';
import { parseSafetensors } from '@onnx-lora/sdk/core';
import { floats } from '@onnx-lora/sdk/plugin';
import { buildGraphs, buildModel, buildPlugin, buildPluginWith } from '@onnx-lora/build';
import { sciencePlugin } from '@onnx-lora/science';
import { speechPlugin } from '@onnx-lora/speech';
import { textPlugin } from '@onnx-lora/text';
import { visionPlugin } from '@onnx-lora/vision';

/** Module names by PEFT and transformers 5 for each folder's checkpoint, without numbers of layers. */
interface Known {
  readonly class: string;
  readonly allLinear: readonly string[];
  readonly leftOut: readonly string[];
  readonly others: readonly string[];
}

const fixtures = path.join(import.meta.dirname, '../packages/build/fixtures');
const known = Object.entries(JSON.parse(readFileSync(path.join(fixtures, 'modules.json'), 'utf8')) as Record<string, Known>); // prettier-ignore
/** One parameter in torch's MultiheadAttention, but layers in its graphs. */
const attention = /^vision_model\.head\.attention\.[kv]_proj$/;
/**
 * Layers that the graph of a folder does not have: poolers that nothing reads, what only training calls, positions
 * without a norm or of queries that are the same for all images, and second copies of heads.
 */
const absent: Readonly<Record<string, RegExp>> = {
  'conditional-detr': /(?:encoder_attn\.q|self_attn\.[qk])_pos_proj$/,
  'd-fine': /^(?:bbox|class)_embed\./,
  owlv2: /visual_projection$/,
  owlvit: /visual_projection$/,
  'rt-detr-v2': /^(?:bbox|class)_embed\./,
  'deberta-seqcls': /\.pos_(?:key|query)_proj$/,
  'esm2-mlm': /^esm\.contact_head/,
  'esm2-seqcls': /^esm\.contact_head/,
  'siglip-cls': /^vision_model\.head\./,
};
const families = [visionPlugin, speechPlugin, textPlugin, sciencePlugin];
const numberless = (paths: readonly string[]): string[] =>
  [...new Set(paths.map((each) => each.replaceAll(/(?<=\.)\d+(?=\.|$)/g, 'n')))].sort();
const layersOf = (model: Model): string[] =>
  numberless(model.modules().flatMap(({ path: each, partOf }) => (partOf === undefined ? [each] : [])));

describe('the names of transformers 5', () => {
  const plugins = [...families, buildPluginWith([], { names: 5 })];

  test.each(known)('are those of %s', async (folder, { allLinear, leftOut, others }) => {
    const names = new Set([...allLinear, ...leftOut, ...others]);
    const found = layersOf(await openModel(path.join(fixtures, folder), { plugins }));
    expect(found.filter((each) => !names.has(each) && !attention.test(each))).toEqual([]);
    expect(found.length).toBeGreaterThan(names.size / 2);
  });

  test.each(known)('all-linear means PEFT’s modules of %s', async (folder, { allLinear }) => {
    const model = await openModel(path.join(fixtures, folder), { plugins });
    if (allLinear.length === 0)
      return expect(() => previewLora(model, { targetModules: 'all-linear' })).toThrow(/Nothing is left to adapt/);
    const chosen = numberless(previewLora(model, { targetModules: 'all-linear' }).targets);
    expect(chosen.filter((each) => !attention.test(each))).toEqual(
      allLinear.filter((each) => !absent[folder]?.test(each)),
    );
  });

  test.each([
    ['llama', ['lm_head']],
    ['qwen2-bf16', ['lm_head']],
    ['wavlm-ctc', []],
  ])('all-linear of %s without its family', async (folder, leftOut) => {
    const model = await openModel(path.join(fixtures, folder), { plugins: [buildPluginWith([])] });
    expect(model.family).toBeUndefined();
    const chosen = previewLora(model, { targetModules: 'all-linear' }).targets;
    const linear = model.modules().filter(({ kind, partOf }) => kind === 'linear' && partOf === undefined);
    expect(linear.map((each) => each.path).filter((each) => !chosen.includes(each))).toEqual(leftOut);
  });

  test('all-linear of an .onnx file is the same', async () => {
    const out = mkdtempSync(path.join(tmpdir(), 'onnx-lora-linear-'));
    await buildModel(path.join(fixtures, 'bert-mlm-untied'), out);
    const model = await openModel(out, { plugins });
    rmSync(out, { recursive: true, force: true });
    const { allLinear } = Object.fromEntries(known)['bert-mlm-untied']!;
    expect(numberless(previewLora(model, { targetModules: 'all-linear' }).targets)).toEqual(allLinear);
  });
});

test('a merged checkpoint computes what the adapter does, also where two layers are halves of one tensor', async () => {
  const folder = path.join(fixtures, 'dinov2-swiglu');
  const plugins = [visionPlugin, buildPlugin];
  const tensorsIn = (name: string): Map<string, Tensor> =>
    parseSafetensors(readFileSync(path.join(folder, name)), name).tensors;
  const out = mkdtempSync(path.join(tmpdir(), 'onnx-lora-halves-'));
  onTestFinished(() => rmSync(out, { recursive: true, force: true }));
  const adapter = await loadAdapter(path.join(folder, 'adapter'));
  await merge(await openModel(folder, { plugins }), adapter, out, { format: 'safetensors' });
  await using session = await (await openModel(out, { plugins })).session();
  const found = await session.run({ pixel_values: tensorsIn('inputs.safetensors').get('pixel_values')! });
  const expected = tensorsIn('expected.safetensors').get('lora.last_hidden_state')!;
  for (const [i, value] of floats(expected).entries())
    expect(Number(found['last_hidden_state']!.data[i])).toBeCloseTo(value, 3);
});

describe('by default', () => {
  const plugins = [...families, buildPluginWith([])];
  const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-modules-'));
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  /** The checkpoint of a folder as another version would have written it. */
  function writtenBy(folder: string, transformers_version: string | undefined): string {
    const copy = path.join(scratch, `${folder}-${transformers_version}`);
    cpSync(path.join(fixtures, folder), copy, { recursive: true });
    const file = path.join(copy, 'config.json');
    const config = JSON.parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(file, JSON.stringify({ ...config, transformers_version }));
    return copy;
  }

  test.each([
    ['5.24.0', 'vit.layers.n.attention.q_proj'],
    ['4.46.0', 'vit.encoder.layer.n.attention.attention.query'],
    [undefined, 'vit.encoder.layer.n.attention.attention.query'],
  ])('what %s wrote has its names', async (version, query) => {
    const model = await openModel(writtenBy('vit-cls', version), { plugins });
    expect(layersOf(model)).toContain(query);
    // Both ways to name targets, and adapters of either, do.
    expect(numberless(previewLora(model, { targetModules: ['query'] }).targets)).toEqual([query]);
    const { unused } = await model.place(await loadAdapter(path.join(fixtures, 'vit-cls/adapter')));
    expect(unused).toEqual([]);
    // Only where the version is not said is there something to warn of.
    const { warnings } = previewLora(model);
    expect(warnings).toEqual(version === undefined ? [expect.stringMatching(/--names 5/)] : []);
  });

  test('the version is what the option says, and nothing else', async () => {
    const folder = path.join(fixtures, 'vit-cls');
    const model = await openModel(folder, { plugins: [...families, buildPluginWith([], { names: 5 })] });
    expect(layersOf(model)).toContain('vit.layers.n.attention.q_proj');
    await expect(buildGraphs(folder, { names: 6 as never })).rejects.toThrow(/names is 4 or 5, .*not 6/);
  });
});
