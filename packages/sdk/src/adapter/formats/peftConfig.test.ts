/** @file Tests of adapter_config.json against files that PEFT has written, and of the scaling rules. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OnnxLoraError } from '../../errors.ts';
import { type AdapterConfig, formatAdapterConfig, parseAdapterConfig } from './peftConfig.ts';
import { scalingOf } from './scaling.ts';

const fixtures = join(import.meta.dirname, '../../../fixtures/adapters/peft');
const oracle = join(import.meta.dirname, '../../../../../../shared/oracle');

const read = (folder: string): string => readFileSync(join(folder, 'adapter_config.json'), 'utf8');
const parse = (json: unknown): AdapterConfig => parseAdapterConfig(json, 'adapter_config.json');

describe('a config that PEFT has written', () => {
  it('is parsed', () => {
    const config = parse(JSON.parse(read(join(fixtures, 'lora-rank-pattern'))));
    expect(config).toMatchObject({
      r: 4,
      loraAlpha: 8,
      targetModules: ['up', 'down'],
      excludeModules: null,
      rankPattern: { '^stem': 3, down: 6, 'layers\\.[01]\\.up': 2 },
      alphaPattern: { 'layers.0.up': 16, 'layers.3.*': 3 },
      useRslora: false,
      useDora: false,
      bias: 'none',
      initLoraWeights: false,
      taskType: null,
    });
    expect(config.extra).toMatchObject({
      peft_version: '0.21.2',
      megatron_core: 'megatron.core',
      inference_mode: true,
    });
    expect(Object.keys(config.extra)).not.toContain('r');
  });

  it.each(readdirSync(fixtures))('is written again byte for byte: %s', (name) => {
    const text = read(join(fixtures, name));
    expect(formatAdapterConfig(parse(JSON.parse(text)))).toBe(text);
  });

  it.skipIf(!existsSync(oracle))('is written again as the same value, for every adapter of the oracle', () => {
    const files = readdirSync(oracle, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('adapter_config.json'),
    );
    let count = 0;
    for (const name of files) {
      const text = readFileSync(join(oracle, name), 'utf8');
      const json = JSON.parse(text) as object;
      expect(JSON.parse(formatAdapterConfig(parse(json))), name).toEqual(json);
      count++;
    }
    expect(count).toBeGreaterThan(90);
  });
});

describe('a config from elsewhere', () => {
  it('needs no more than its type, and is completed with PEFT defaults', () => {
    const config = parse({ peft_type: 'LORA' });
    expect(config).toMatchObject({
      r: 8,
      loraAlpha: 8,
      targetModules: null,
      rankPattern: {},
      loraDropout: 0,
      extra: {},
    });
    const written = JSON.parse(read(join(fixtures, 'lora-rank-pattern'))) as object;
    const text = formatAdapterConfig(config);
    // Exactly the keys that PEFT 0.21.2 writes, in its order.
    expect(Object.keys(JSON.parse(text) as object)).toEqual(Object.keys(written));
    expect(text).toContain('\n  "lora_dropout": 0.0,\n');
    expect(text.endsWith('\n}')).toBe(true);
    expect(text).toMatchInlineSnapshot(`
      "{
        "alora_invocation_tokens": null,
        "alpha_pattern": {},
        "arrow_config": null,
        "auto_mapping": null,
        "base_model_name_or_path": null,
        "bias": "none",
        "corda_config": null,
        "ensure_weight_tying": false,
        "eva_config": null,
        "exclude_modules": null,
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "kasa_config": null,
        "layer_replication": null,
        "layers_pattern": null,
        "layers_to_transform": null,
        "loftq_config": {},
        "lora_alpha": 8,
        "lora_bias": false,
        "lora_dropout": 0.0,
        "lora_ga_config": null,
        "megatron_config": null,
        "megatron_core": "megatron.core",
        "modules_to_save": null,
        "monteclora_config": null,
        "peft_type": "LORA",
        "peft_version": "0.21.2",
        "qalora_group_size": 16,
        "r": 8,
        "rank_pattern": {},
        "revision": null,
        "target_modules": null,
        "target_parameters": null,
        "task_type": null,
        "trainable_token_indices": null,
        "use_bdlora": null,
        "use_dora": false,
        "use_qalora": false,
        "use_rslora": false,
        "velora_config": null
      }"
    `);
  });

  it('keeps unknown keys, awkward ones too', () => {
    const json = JSON.parse('{"peft_type":"LORA","future":{"a":[1.5]},"__proto__":{"r":1},"é":"😀"}') as object;
    const config = parse(json);
    expect(Object.keys(config.extra)).toEqual(['future', '__proto__', 'é']);
    const text = formatAdapterConfig(config);
    expect(text).toContain('"\\u00e9": "\\ud83d\\ude00"');
    expect(JSON.parse(text)).toMatchObject({ future: { a: [1.5] }, é: '😀' });
    expect(Object.hasOwn(JSON.parse(text) as object, '__proto__')).toBe(true);
    expect(({} as { r?: number }).r).toBeUndefined();
  });

  it('keeps the order of pattern tables, where the first match counts', () => {
    const config = parse({ peft_type: 'LORA', rank_pattern: { z: 2, a: 3 } });
    const back = parse(JSON.parse(formatAdapterConfig(config)));
    expect(Object.keys(back.rankPattern)).toEqual(['z', 'a']);
  });

  it.each([
    [[], /expected a JSON object/],
    [null, /expected a JSON object/],
    [{ r: 8 }, /has no "peft_type"/],
    [{ peft_type: '../x' }, /has no "peft_type"/],
    [{ peft_type: 'LORA', r: 0 }, /r: Too small/],
    [{ peft_type: 'LORA', r: 1.5 }, /r: Invalid input: expected int/],
    [{ peft_type: 'LORA', lora_alpha: '16' }, /lora_alpha: Invalid input: expected number/],
    [{ peft_type: 'LORA', bias: 'some' }, /bias: Invalid option/],
    [{ peft_type: 'LORA', target_modules: [1] }, /target_modules/],
    [{ peft_type: 'LORA', rank_pattern: { q: '8' } }, /rank_pattern.q: /],
    [{ peft_type: 'LORA', modules_to_save: 'head' }, /modules_to_save: /],
  ])('is refused: %j', (json, message) => {
    expect(() => parse(json)).toThrow(message);
    expect(() => parse(json)).toThrow(expect.objectContaining({ code: 'ADAPTER_INVALID' }));
  });

  it('survives a round trip or is refused with an OnnxLoraError, whatever the JSON', () => {
    const keys = Object.keys(JSON.parse(read(join(fixtures, 'lora-rank-pattern'))) as object);
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 2 })), (json) => {
        try {
          const config = parse({ ...json, peft_type: 'LORA' });
          const back = parse(JSON.parse(formatAdapterConfig(config)));
          // Missing fields have PEFT's defaults afterwards.
          expect({ ...back, extra: { ...back.extra, ...config.extra } }).toEqual({ ...config, extra: back.extra });
        } catch (error) {
          expect(error).toBeInstanceOf(OnnxLoraError);
        }
      }),
    );
  });
});

describe('scalingOf', () => {
  const config = { r: 4, loraAlpha: 8, rankPattern: {}, alphaPattern: {}, useRslora: false };

  it('is alpha / r, with rslora alpha / √r', () => {
    expect(scalingOf(config, 'a.q')).toEqual({ r: 4, alpha: 8, scaling: 2 });
    expect(scalingOf({ ...config, useRslora: true }, 'a.q')).toEqual({ r: 4, alpha: 8, scaling: 4 });
  });

  it('takes the first key that matches the end of the name, rank and alpha apart', () => {
    const patterned = {
      ...config,
      rankPattern: { '^stem': 3, down: 6, 'layers\\.[01]\\.up': 2, 'layers.1.up': 16 },
      alphaPattern: { 'layers.0.up': 16, 'layers.3.*': 3 },
    };
    // r, alpha as PEFT's own files for these patterns have it (case lora-rank-pattern).
    expect(scalingOf(patterned, 'layers.0.up')).toEqual({ r: 2, alpha: 16, scaling: 8 });
    expect(scalingOf(patterned, 'model.layers.1.up')).toEqual({ r: 2, alpha: 8, scaling: 4 });
    expect(scalingOf(patterned, 'layers.2.up')).toEqual({ r: 4, alpha: 8, scaling: 2 });
    expect(scalingOf(patterned, 'layers.3.down')).toEqual({ r: 6, alpha: 3, scaling: 0.5 });
    expect(scalingOf(patterned, 'stem')).toMatchObject({ r: 3 });
    expect(scalingOf(patterned, 'my.stem')).toMatchObject({ r: 4 });
    expect(scalingOf(patterned, 'countdown')).toMatchObject({ r: 4 });
    expect(scalingOf(patterned, 'down.x')).toMatchObject({ r: 4 });
  });
});

describe('many patterns', () => {
  const modules = Array.from({ length: 200 }, (_, i) => `model.encoder.layers.${i}.self_attn.q_proj`);

  it('of an honest table are all answered: a rank for each module by its path', () => {
    const rankPattern = Object.fromEntries(
      Array.from({ length: 1000 }, (_, i) => [`^model.encoder.layers.${i}.self_attn.q_proj`, i + 1]),
    );
    const config = { r: 4, loraAlpha: 8, rankPattern, alphaPattern: {}, useRslora: false };
    expect(modules.map((path) => scalingOf(config, path).r)).toEqual(modules.map((_, i) => i + 1));
  });

  // Each of them is below what one pattern may take.
  it.each(['(.*.*)*.*'.repeat(4), '(?=(a|.*.+)*.)'.repeat(60), '(?:.?){900}', 'x'.repeat(19_000)])(
    'made to hang are refused together: %.20s',
    (pattern) => {
      const rankPattern = Object.fromEntries(
        Array.from({ length: pattern.length > 1000 ? 40 : 2000 }, (_, i) => [`${pattern}x${i}`, 2]),
      );
      const config = { r: 4, loraAlpha: 8, rankPattern, alphaPattern: {}, useRslora: false };
      for (let i = 0; i < 2; i++)
        expect(() => modules.map((path) => scalingOf(config, path))).toThrow(
          expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('rankPattern') }),
        );
    },
    60_000,
  );
});
