/** @file Names, forms and refusals of LoRA files, on layers that are made here. */

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { float32, merge, type Model, openModel, type Tensor, tensor } from '@onnx-lora/sdk';
import { Random, readSafetensors, writeSafetensors } from '@onnx-lora/sdk/data';
import { readFloats } from '@onnx-lora/sdk/plugin';
import { convNet, publishModel, randomFeeds } from '@onnx-lora/testing';
import { describe, expect, it } from 'vitest';
import { diffusionPlugin } from '../plugin.ts';
import { componentModules } from './componentModules.ts';
import { parseLoraFile, readLoraFile } from './loraFile.ts';
import { type Components, ModuleNames } from './moduleNames.ts';
import { type PipelineAdapter, readPipelineAdapter } from './readAdapters.ts';
import { formatLoraFile } from './writeAdapters.ts';

const random = new Random(3);
const numbers = (dims: readonly number[]): Tensor =>
  float32(
    new Float32Array(dims.reduce((all, dim) => all * dim, 1)).map(() => random.normal()),
    dims,
  );

const read = async (tensors: Record<string, Tensor>, components: Components): Promise<PipelineAdapter> =>
  readPipelineAdapter(parseLoraFile('style.safetensors', new Map(Object.entries(tensors))), components);

const layer = (path: string, ...weightShape: number[]): { path: string; weightShape: number[] } => ({ path, weightShape }); // prettier-ignore

describe('names', () => {
  // By diffusers' `_maybe_map_sgm_blocks_to_diffusers` and sd-scripts' table, for two layers per block.
  it('of a UNet in the words of its authors', () => {
    const unet = [
      'conv_in',
      'conv_out',
      'time_embedding.linear_1',
      'add_embedding.linear_2',
      'down_blocks.0.resnets.0.conv1',
      'down_blocks.0.resnets.1.time_emb_proj',
      'down_blocks.0.downsamplers.0.conv',
      'down_blocks.1.resnets.0.conv_shortcut',
      'down_blocks.2.attentions.1.proj_in',
      'mid_block.resnets.0.conv2',
      'mid_block.attentions.0.proj_in',
      'mid_block.resnets.1.conv1',
      'up_blocks.0.resnets.2.conv1',
      'up_blocks.0.attentions.2.proj_out',
      'up_blocks.0.upsamplers.0.conv',
      'up_blocks.2.resnets.0.conv2',
    ];
    const names = new ModuleNames({ unet: { modules: unet.map((each) => layer(each, 4, 4)) } });
    expect(unet.map((each) => names.write('original', 'unet', each)?.replace('lora_unet_', ''))).toEqual([
      'input_blocks_0_0',
      'out_2',
      'time_embed_0',
      'label_emb_0_2',
      'input_blocks_1_0_in_layers_2',
      'input_blocks_2_0_emb_layers_1',
      'input_blocks_3_0_op',
      'input_blocks_4_0_skip_connection',
      'input_blocks_8_1_proj_in',
      'middle_block_0_out_layers_3',
      'middle_block_1_proj_in',
      'middle_block_2_in_layers_2',
      'output_blocks_2_0_in_layers_2',
      'output_blocks_2_1_proj_out',
      'output_blocks_2_2_conv',
      'output_blocks_6_0_out_layers_3',
    ]);
  });

  it('of two text encoders are kept apart, in bfloat16 too', async () => {
    const clip = { modules: [layer('text_model.encoder.layers.0.mlp.fc1', 6, 4)] };
    const components = { text_encoder: clip, text_encoder_2: clip };
    const bits = (dims: readonly number[], first: number): Tensor =>
      tensor('bfloat16', new Uint16Array(dims.reduce((all, dim) => all * dim, 1)).map((_, i) => 0x3f80 + first + i), dims); // prettier-ignore
    const keys = (name: string, first: number): Record<string, Tensor> => ({
      [`${name}.lora_down.weight`]: bits([2, 4], first),
      [`${name}.lora_up.weight`]: bits([6, 2], first + 8),
      [`${name}.alpha`]: tensor('bfloat16', Uint16Array.of(0x3f80), []),
    });
    const file = { ...keys('lora_te1_text_model_encoder_layers_0_mlp_fc1', 0), ...keys('lora_te2_text_model_encoder_layers_0_mlp_fc1', 64) }; // prettier-ignore
    const adapter = await read(file, components);
    const first = (network: string): number => Number(adapter.adapters[network]!.tensors.get('base_model.model.text_model.encoder.layers.0.mlp.fc1.lora_A.weight')!.data[0]); // prettier-ignore
    expect([first('text_encoder'), first('text_encoder_2')]).toEqual([0x3f80, 0x3f80 + 64]);
    expect(adapter.adapters['text_encoder_2']!.config).toMatchObject({ r: 2, loraAlpha: 1 });
    expect(Object.fromEntries(formatLoraFile(adapter, components).tensors)).toEqual(file);
    const dotted = await read({ 'text_encoder_2.text_model.encoder.layers.0.mlp.fc1.lora_A.weight': numbers([2, 4]), 'text_encoder_2.text_model.encoder.layers.0.mlp.fc1.lora_B.weight': numbers([6, 2]) }, components); // prettier-ignore
    expect(Object.keys(dotted.adapters)).toEqual(['text_encoder_2']);
  });

  it('that two layers share are refused', async () => {
    const unet = { modules: [layer('a_b.c', 4, 4), layer('a.b_c', 4, 4)] };
    const file = { 'lora_unet_a_b_c.lora_down.weight': numbers([2, 4]), 'lora_unet_a_b_c.lora_up.weight': numbers([4, 2]) }; // prettier-ignore
    await expect(read(file, { unet })).rejects.toThrow(
      /"lora_unet_a_b_c.lora_down.weight", which names several layers/,
    );
  });

  it('of layers that the graph lacks are kept and written back', async () => {
    const model = { modules: () => [{ ...layer('text_model.encoder.layers.0.mlp.fc1', 6, 4) }], config: { num_hidden_layers: 2 } } as unknown as Model; // prettier-ignore
    const components = { text_encoder: componentModules(model) };
    const file = Object.fromEntries([0, 1].flatMap((i) => [
      [`lora_te1_text_model_encoder_layers_${i}_mlp_fc1.lora_down.weight`, numbers([2, 4])],
      [`lora_te1_text_model_encoder_layers_${i}_mlp_fc1.lora_up.weight`, numbers([6, 2])],
    ])); // prettier-ignore
    const adapter = await read(file, components);
    expect([...adapter.adapters['text_encoder']!.tensors.keys()]).toHaveLength(2);
    expect(Object.fromEntries(formatLoraFile(adapter, components).tensors)).toEqual(file);
  });
});

describe('fused layers', () => {
  const flux = {
    transformer: {
      modules: [
        ...['to_q', 'to_k', 'to_v'].map((name) => layer(`single_transformer_blocks.0.attn.${name}`, 4, 4)),
        layer('single_transformer_blocks.0.proj_mlp', 6, 4),
      ],
    },
  };
  const name = 'lora_unet_single_blocks_0_linear1';
  const file = { [`${name}.lora_down.weight`]: numbers([2, 4]), [`${name}.lora_up.weight`]: numbers([18, 2]), [`${name}.alpha`]: float32([1], []) }; // prettier-ignore
  const productOf = (down: Tensor, up: Tensor, scale: number): number[] => {
    const [r, width] = [down.dims[0]!, down.dims[1]!];
    return Array.from({ length: up.dims[0]! * width }, (_, at) => {
      const [i, j] = [Math.floor(at / width), at % width];
      let sum = 0;
      for (let k = 0; k < r; k++) sum += Number(up.data[i * r + k]) * Number(down.data[k * width + j]);
      return sum * scale;
    });
  };

  it('are split by the sizes of their parts', async () => {
    const { adapters } = await read(file, flux);
    const { tensors } = adapters['transformer']!;
    const [up, mlp] = [file[`${name}.lora_up.weight`]!, tensors.get('base_model.model.single_transformer_blocks.0.proj_mlp.lora_B.weight')!]; // prettier-ignore
    expect(mlp.dims).toEqual([6, 2]);
    expect([...mlp.data].map(Number)).toEqual([...up.data].map(Number).slice(24));
  });

  it('whose parts were trained apart have the same change when they are joined', async () => {
    const { adapters, layout } = await read(file, flux);
    const own = adapters['transformer']!;
    const changed = new Map([...own.tensors].map(([key, value]) => [key, key.endsWith('lora_A.weight') ? numbers(value.dims) : value])); // prettier-ignore
    const { Adapter } = await import('@onnx-lora/sdk');
    const { tensors } = formatLoraFile({ adapters: { transformer: new Adapter(own.config, changed) }, layout: layout! }, flux); // prettier-ignore
    const [down, up, alpha] = ['lora_down.weight', 'lora_up.weight', 'alpha'].map((role) => tensors.get(`${name}.${role}`)!) as [Tensor, Tensor, Tensor]; // prettier-ignore
    const joined = productOf(down, up, Number(alpha.data[0]) / down.dims[0]!);
    const parts = flux.transformer.modules.flatMap(
      ({ path: at }) =>
      productOf(changed.get(`base_model.model.${at}.lora_A.weight`)!, changed.get(`base_model.model.${at}.lora_B.weight`)!, 0.5), // prettier-ignore
    );
    joined.forEach((value, i) => expect(value).toBeCloseTo(parts[i]!, 5));
  });
});

describe('forms without a file of the oracle', () => {
  /** `stem` is a Conv [8, 4, 3, 3], `head` a Gemm [3, 6]. */
  async function changes(tensors: Record<string, Tensor>): Promise<(name: string) => number[]> {
    const folder = mkdtempSync(path.join(tmpdir(), 'forms-'));
    const base = convNet();
    await publishModel(folder, { model: base });
    const model = await openModel(folder, { plugins: [diffusionPlugin] });
    const components = { unet: componentModules(model) };
    const adapter = await read(tensors, components);
    expect(Object.fromEntries(formatLoraFile(adapter, components).tensors)).toEqual(tensors);
    const own = adapter.adapters['unet']!;
    const out = path.join(folder, 'merged');
    await merge(model, own, out);
    const merged = await openModel(out);
    const feeds = randomFeeds(model, { seed: 5 });
    const session = await model.session({ adapters: { own } });
    const plain = await merged.session();
    const [unmerged, folded, without, bare] = [await session.run(feeds, { adapter: 'own' }), await plain.run(feeds), await session.run(feeds), await (await model.session()).run(feeds)]; // prettier-ignore
    for (const [key, value] of Object.entries(folded)) {
      value.data.forEach((each, i) => expect(Number(unmerged[key]!.data[i])).toBeCloseTo(Number(each), 4));
      bare[key]!.data.forEach((each, i) => expect(Number(without[key]!.data[i])).toBeCloseTo(Number(each), 5));
    }
    return (name) => {
      const get = ({ graph }: typeof base): Float32Array => readFloats(graph.initializer!.find((each) => each.name === name)!); // prettier-ignore
      const before = get(base);
      return [...get(merged.onnx.model as typeof base)].map((value, i) => value - before[i]!);
    };
  }

  it('whole differences of weights and biases', async () => {
    const [diff, bias] = [numbers([8, 4, 3, 3]), numbers([8])];
    const change = await changes({ 'lora_unet_stem.diff': diff, 'lora_unet_stem.diff_b': bias });
    change('stem.weight').forEach((value, i) => expect(value).toBeCloseTo(Number(diff.data[i]), 5));
    change('stem.bias').forEach((value, i) => expect(value).toBeCloseTo(Number(bias.data[i]), 5));
  });

  it.each([
    ['outputs', [3, 1], 0],
    ['inputs', [1, 6], 1],
  ] as const)('IA3 of %s', async (_, dims, flag) => {
    const weight = numbers(dims);
    const base = readFloats(convNet().graph.initializer!.find(({ name }) => name === 'head.weight')!);
    const change = await changes({ 'lora_unet_head.weight': weight, 'lora_unet_head.on_input': tensor('int64', BigInt64Array.of(BigInt(flag)), []) }); // prettier-ignore
    change('head.weight').forEach((value, i) => expect(value).toBeCloseTo(base[i]! * Number(weight.data[flag === 1 ? i % 6 : Math.floor(i / 6)]), 5)); // prettier-ignore
  });

  it('scales of DoRA per input', async () => {
    const [down, up, scale] = [numbers([2, 6]), numbers([3, 2]), numbers([1, 6])];
    const base = readFloats(convNet().graph.initializer!.find(({ name }) => name === 'head.weight')!);
    const change = await changes({ 'lora_unet_head.lora_down.weight': down, 'lora_unet_head.lora_up.weight': up, 'lora_unet_head.dora_scale': scale }); // prettier-ignore
    const at = ({ data }: Tensor, i: number): number => Number(data[i]);
    const v = Array.from(base, (value, i) => value + at(up, Math.floor(i / 6) * 2) * at(down, i % 6) + at(up, Math.floor(i / 6) * 2 + 1) * at(down, 6 + (i % 6))); // prettier-ignore
    const norm = (j: number): number => Math.hypot(v[j]!, v[6 + j]!, v[12 + j]!);
    change('head.weight').forEach((value, i) => expect(value).toBeCloseTo((at(scale, i % 6) * v[i]!) / norm(i % 6) - base[i]!, 4)); // prettier-ignore
  });
});

describe('hostile files', () => {
  const components = { unet: { modules: [layer('proj_in', 8, 4), layer('proj_out', 4, 8)] }, text_encoder: { modules: [layer('fc1', 6, 4)] } }; // prettier-ignore
  const pair = (name: string, out = 8, inputs = 4): Record<string, Tensor> => ({ [`${name}.lora_down.weight`]: numbers([2, inputs]), [`${name}.lora_up.weight`]: numbers([out, 2]) }); // prettier-ignore

  it.each<[string, Record<string, Tensor>, RegExp]>([
    ['an unknown layer', pair('lora_unet_proj_inn'), /"lora_unet_proj_inn.lora_down.weight", which names no layer .*lora_unet_proj_in/], // prettier-ignore
    ['an unknown tensor', { 'lora_unet_proj_in.lora_sideways': numbers([1]) }, /"lora_unet_proj_in.lora_sideways", which ends as no tensor/], // prettier-ignore
    ['one layer under two names', { ...pair('lora_te_fc1', 6), ...pair('lora_te1_fc1', 6) }, /"lora_te1_fc1.lora_down.weight", which adapts the layer "fc1"/], // prettier-ignore
    ['one tensor under two names', { ...pair('unet.proj_in'), 'unet.proj_in.lora_A.weight': numbers([2, 4]) }, /says the same as "unet.proj_in.lora_down.weight"/], // prettier-ignore
    ['half a pair', { 'lora_unet_proj_in.lora_down.weight': numbers([2, 4]) }, /only part of "lora_unet_proj_in": lora_up is missing/], // prettier-ignore
    ['alpha alone', { 'lora_unet_proj_in.alpha': numbers([]) }, /"lora_unet_proj_in.alpha" stands alone/],
    ['a wrong width', pair('lora_unet_proj_in', 8, 5), /"lora_unet_proj_in.lora_down.weight" has shape \[2, 5\]/],
    ['a wrong height', pair('lora_unet_proj_in', 9), /"lora_unet_proj_in.lora_up.weight" has shape \[9, 2\]/],
    ['two forms in one layer', { ...pair('lora_unet_proj_in'), 'lora_unet_proj_in.hada_w1_a': numbers([8, 2]) }, /"lora_unet_proj_in.hada_w1_a" does not belong to LoRA/], // prettier-ignore
    ['alphas of a vector', { ...pair('lora_unet_proj_in'), 'lora_unet_proj_in.alpha': numbers([2]) }, /"lora_unet_proj_in.alpha" has shape \[2\], and must be one number/], // prettier-ignore
    ['Kronecker factors that do not divide', { 'lora_unet_proj_in.lokr_w1': numbers([3, 2]), 'lora_unet_proj_in.lokr_w2': numbers([3, 2]) }, /"lora_unet_proj_in.lokr_w2" has shape/], // prettier-ignore
    ['a rank of zero', { 'lora_unet_proj_in.lora_down.weight': numbers([0, 4]), 'lora_unet_proj_in.lora_up.weight': numbers([8, 0]) }, /"lora_unet_proj_in.lora_down.weight" has shape \[0, 4\]/], // prettier-ignore
    ['magnitudes of another size', { 'unet.proj_in.lora_A.weight': numbers([2, 4]), 'unet.proj_in.lora_B.weight': numbers([8, 2]), 'unet.proj_in.lora_magnitude_vector': numbers([7]) }, /"unet.proj_in.lora_magnitude_vector" holds 7 values/], // prettier-ignore
  ])('%s', async (_, tensors, message) => {
    await expect(read(tensors, components)).rejects.toThrow(message);
  });

  it('files that are no safetensors are named', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'hostile-'));
    const write = (name: string, bytes: Uint8Array): string => {
      writeFileSync(path.join(folder, name), bytes);
      return path.join(folder, name);
    };
    await expect(readLoraFile(write('style.ckpt', Uint8Array.from([0x50, 0x4b, 3, 4, 0, 0, 8, 8, ...new Array<number>(60).fill(0)])))).rejects.toThrow(/style\.ckpt" is a PyTorch pickle/); // prettier-ignore
    await expect(readLoraFile(write('style.bin', Uint8Array.from([0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, ...new Array<number>(60).fill(0)])))).rejects.toThrow(/style\.bin" is a PyTorch pickle/); // prettier-ignore
    const long = new Uint8Array(32);
    new DataView(long.buffer).setBigUint64(0, 1n << 40n, true);
    await expect(readLoraFile(write('long.safetensors', long))).rejects.toThrow(
      /long\.safetensors".*claims 1099511627776 bytes/,
    );
    const whole = path.join(folder, 'whole.safetensors');
    await writeSafetensors(whole, new Map());
    await expect(readLoraFile(whole)).rejects.toThrow(/whole\.safetensors" holds no tensor/);
    expect((await readSafetensors(whole)).tensors.size).toBe(0);
  });
});
