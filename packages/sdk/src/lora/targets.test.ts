/** @file Tests of the target rules: against what PEFT adapted, against PEFT's own wording, and of every error. */

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAdapterConfig } from '../adapter/formats/peftConfig.ts';
import type { TargetConfig } from './targetRules.ts';
import { type NamedModule, type SelectOptions, selectModules } from './targets.ts';

const cases = join(import.meta.dirname, '../../../../../shared/oracle/cases');

const linear = (...paths: string[]): NamedModule[] => paths.map((path) => ({ path, kind: 'linear' }));

/** Two transformer layers, a patch convolution, a norm and a head. */
const vit: NamedModule[] = [
  { path: 'vit.embeddings.projection', kind: 'conv2d' },
  ...[0, 1].flatMap((i) =>
    linear(...['attention.query', 'attention.value', 'output.dense'].map((name) => `vit.encoder.layer.${i}.${name}`)),
  ),
  { path: 'vit.layernorm', kind: 'norm' },
  ...linear('classifier'),
];

const select = (config: TargetConfig, options?: SelectOptions, modules = vit): string[] =>
  selectModules(modules, config, options).targets;
const short = (paths: string[]): string[] => paths.map((path) => path.replace('vit.encoder.layer.', ''));

/** A joined layer with its parts, and an attention that has its projections by themselves. */
const joined: NamedModule[] = [
  ...[0, 1].flatMap((i): NamedModule[] => [
    { path: `net.blocks.${i}.attn.qkv`, kind: 'linear' },
    ...(['q', 'k', 'v'] as const).map((as): NamedModule => ({ path: `net.blocks.${i}.attn.${as}_proj`, kind: 'linear', partOf: `net.blocks.${i}.attn.qkv`, projection: as })), // prettier-ignore
    { path: `net.blocks.${i}.attn.proj`, kind: 'linear' },
  ]),
  ...linear('decoder.attn.q_proj', 'decoder.attn.k'),
];

describe('parts of a joined layer', () => {
  const parts = (config: TargetConfig, modules = joined): string[] => select(config, {}, modules);
  const alone = joined.slice(0, -2);

  it('are reached by names and patterns that match no layer', () => {
    expect(parts({ targetModules: ['v_proj'] })).toEqual(['net.blocks.0.attn.v_proj', 'net.blocks.1.attn.v_proj']);
    expect(parts({ targetModules: ['net.blocks.1.attn.q_proj'] })).toEqual(['net.blocks.1.attn.q_proj']);
    expect(parts({ targetModules: '.*attn.[kv]_proj' })).toHaveLength(4);
    expect(parts({ targetModules: ['q_proj'] }, alone)).toHaveLength(2);
    expect(parts({ targetModules: ['k_proj'], layersToTransform: [1] })).toEqual(['net.blocks.1.attn.k_proj']);
  });

  it('are not reached by what means layers, as in PEFT', () => {
    expect(parts({ targetModules: ['q_proj'] })).toEqual(['decoder.attn.q_proj']);
    expect(parts({ targetModules: '.*\\.attn\\..*' })).toEqual(['net.blocks.0.attn.qkv', 'net.blocks.0.attn.proj', 'net.blocks.1.attn.qkv', 'net.blocks.1.attn.proj', 'decoder.attn.q_proj', 'decoder.attn.k']); // prettier-ignore
    expect(parts({ targetModules: 'all-linear' })).toHaveLength(6);
    expect(selectModules(joined, { targetModules: ['proj'], modulesToSave: ['attn'] }, { strict: false })).toEqual({
      targets: [],
      modulesToSave: joined.flatMap(({ path, partOf }) => (partOf === undefined ? [path] : [])),
    });
  });

  it('are found under other names of a projection, of lists alone', () => {
    expect(parts({ targetModules: ['value', 'attn.to_k'] })).toEqual(['net.blocks.0.attn.k_proj', 'net.blocks.0.attn.v_proj', 'net.blocks.1.attn.k_proj', 'net.blocks.1.attn.v_proj']); // prettier-ignore
    expect(parts({ targetModules: ['query'] }, alone)).toHaveLength(2);
    // Which would mean layers of the decoder.
    expect(() => parts({ targetModules: ['query'] })).toThrow('matches "query"');
    expect(parts({ targetModules: ['attn.value'], excludeModules: ['0.attn.value'] })).toEqual(['net.blocks.1.attn.v_proj']); // prettier-ignore
  });

  it('are left out where their layer is adapted, and refused where that leaves nothing of a name', () => {
    expect(parts({ targetModules: ['net.blocks.0.attn.qkv', 'v_proj'] })).toEqual(['net.blocks.0.attn.qkv', 'net.blocks.1.attn.v_proj']); // prettier-ignore
    expect(() => parts({ targetModules: ['qkv', 'v_proj'] })).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: "net.blocks.0.attn.v_proj" (targetModules) is part of "net.blocks.0.attn.qkv", which targetModules names as well, and a weight can have one adapter. Name the layer or its parts.]`,
    );
    expect(() => parts({ targetModules: ['proj'], modulesToSave: ['v_proj'] })).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: "net.blocks.0.attn.v_proj" (modulesToSave) is part of "net.blocks.0.attn.qkv", which can be trained in full only as a whole. Name "net.blocks.0.attn.qkv", or adapt the part (targetModules).]`,
    );
    expect(() => parts({ targetModules: ['v_proj'], targetParameters: ['net.blocks.1.attn.qkv.weight'] })).toThrow('is the weight of a module that targetModules adapts already'); // prettier-ignore
  });
});

describe('targets', () => {
  it('takes a list as whole paths or endings after a dot', () => {
    expect(short(select({ targetModules: ['query', 'vit.encoder.layer.1.output.dense'] }))).toEqual([
      '0.attention.query',
      '1.attention.query',
      '1.output.dense',
    ]);
    expect(select({ targetModules: ['proj', 'query'] }, { strict: false })).not.toContain('vit.embeddings.projection');
    expect(select({ targetModules: ['.*query'] }, { strict: false })).toEqual([]);
  });

  it('takes a string as a pattern for the whole path', () => {
    expect(short(select({ targetModules: '.*\\.0\\..*\\.(query|value)' }))).toEqual(['0.attention.query', '0.attention.value']); // prettier-ignore
    expect(select({ targetModules: 'query' }, { strict: false })).toEqual([]);
  });

  it('takes all-linear in any case: no convolution, and no head of a sequence classifier', () => {
    expect(select({ targetModules: 'All-Linear' })).toHaveLength(7);
    expect(select({ targetModules: 'all-linear' })).not.toContain('vit.embeddings.projection');
    expect(select({ targetModules: 'all-linear', taskType: 'SEQ_CLS' })).toHaveLength(6);
    expect(select({ targetModules: 'all-linear', taskType: 'SEQ_CLS' }, {}, [...vit, ...linear('score')])).toContain('classifier'); // prettier-ignore
    expect(select({ targetModules: 'all-linear' }, { outputEmbedding: 'classifier' })).toHaveLength(6);
  });

  it('leaves out what is excluded, by list or pattern', () => {
    expect(short(select({ targetModules: ['query'], excludeModules: ['layer.0.attention.query'] }))).toEqual(['1.attention.query']); // prettier-ignore
    expect(short(select({ targetModules: ['query'], excludeModules: '.*\\.1\\..*' }))).toEqual(['0.attention.query']);
  });

  it('never adapts what is saved in full, nor anything inside it', () => {
    const modules = linear('body.dense', 'classifier.dense', 'classifier.out.dense', 'lm_head', 'head');
    expect(selectModules(modules, { targetModules: ['dense'], modulesToSave: ['classifier'] })).toEqual({
      targets: ['body.dense'],
      modulesToSave: ['classifier.dense', 'classifier.out.dense'],
    });
    // PEFT asks for no dot before the name.
    expect(selectModules(modules, { targetModules: ['dense'], modulesToSave: ['head'] }).modulesToSave).toEqual(['lm_head', 'head']); // prettier-ignore
  });

  it('limits endings, and not whole paths, to some layers', () => {
    const targetModules = ['query', 'vit.encoder.layer.0.attention.value'];
    expect(short(select({ targetModules, layersToTransform: [1] }))).toEqual([
      '0.attention.value',
      '1.attention.query',
    ]);
    expect(short(select({ targetModules: ['query'], layersToTransform: 0, layersPattern: 'layer' }))).toEqual(['0.attention.query']); // prettier-ignore
    // Something must stand before the list's name.
    expect(select({ targetModules: ['q'], layersToTransform: [3] }, { strict: false }, linear('layers.3.q'))).toEqual(
      [],
    );
    expect(select({ targetModules: ['q'], layersToTransform: [3] }, {}, linear('model.layers.3.q'))).toHaveLength(1);
    // The first of two numbers counts, unless a pattern names the list.
    const nested = linear('m.stages.0.blocks.1.q', 'm.stages.1.blocks.0.q');
    expect(select({ targetModules: ['q'], layersToTransform: 1 }, {}, nested)).toEqual(['m.stages.1.blocks.0.q']);
    expect(select({ targetModules: ['q'], layersToTransform: 1, layersPattern: ['blocks'] }, {}, nested)).toEqual(['m.stages.0.blocks.1.q']); // prettier-ignore
  });

  it('gives each path once, and nothing for an empty list', () => {
    expect(select({ targetModules: ['a'] }, {}, linear('x.a', 'x.a'))).toEqual(['x.a']);
    expect(selectModules(vit, { targetModules: [], modulesToSave: ['classifier'] })).toEqual({
      targets: [],
      modulesToSave: ['classifier'],
    });
  });

  it('loads what names modules that are not there, when not strict', () => {
    const config = { targetModules: ['query', 'gone'], modulesToSave: ['score'], rankPattern: { gone: 3 } };
    expect(selectModules(vit, config, { strict: false })).toEqual({
      targets: select({ targetModules: ['query'] }),
      modulesToSave: [],
    });
    expect(select({}, { strict: false })).toEqual([]);
  });
});

describe('an entry without effect is an error', () => {
  it.each<[string, TargetConfig, RegExp]>([
    ['no targets', {}, /targetModules says nothing/],
    ['a slip', { targetModules: ['querry'] }, /No module matches "querry" \(targetModules\)\. Did you mean "query"/],
    ['one of two', { targetModules: ['query', 'kye'] }, /matches "kye"/],
    ['a longer slip', { targetModules: ['attention.valeu'] }, /Did you mean "attention\.value"/],
    [
      'a kind that LoRA cannot adapt',
      { targetModules: ['layernorm'] },
      /"layernorm" \(targetModules\) is of kind "norm"/,
    ],
    ['a name as pattern', { targetModules: 'query' }, /pattern "query"\. A single string .* pass a list: \["query"\]/],
    ['a pattern', { targetModules: '.*qq' }, /matches the targetModules pattern "\.\*qq"/],
    ['an exclusion', { targetModules: ['query'], excludeModules: ['clasifier'] }, /"clasifier" \(excludeModules\)\. Did you mean "classifier"/], // prettier-ignore
    ['an excluding pattern', { targetModules: ['query'], excludeModules: 'x.*' }, /the excludeModules pattern/],
    ['a saved module', { targetModules: ['query'], modulesToSave: ['head'] }, /"head" \(modulesToSave\)/],
    ['a rank', { targetModules: ['query'], rankPattern: { quer: 4 } }, /"quer" \(rankPattern\)\. Did you mean "query"/],
    ['an alpha of another module', { targetModules: ['query'], alphaPattern: { value: 4 } }, /alphaPattern "value" has no effect: it matches "vit\.encoder\.layer\.0\.attention\.value", and that module is not adapted/], // prettier-ignore
    ['a layer', { targetModules: ['query'], layersToTransform: [1, 7] }, /names layer 7, but the layers are 0, 1\./],
    ['a list of layers', { targetModules: ['query'], layersToTransform: [1], layersPattern: 'h' }, /layersPattern "h"/],
    ['everything excluded', { targetModules: ['query'], excludeModules: ['query'] }, /Nothing is left to adapt/],
  ])('%s', (_, config, message) => {
    expect(() => select(config)).toThrow(message);
    expect(() => select(config)).toThrow(expect.objectContaining({ code: 'TARGET_NOT_FOUND' }));
  });

  it('says what there is', () => {
    expect(() => select({ targetModules: ['querry'] }, { model: 'vit.onnx' })).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: No module in "vit.onnx" matches "querry" (targetModules). Did you mean "query"? Modules: dense (2), query (2), value (2), classifier, projection. Pass names from this list, full paths, or "all-linear".]`,
    );
  });

  it.each<[string, TargetConfig]>([
    ['layers with a pattern', { targetModules: '.*query', layersToTransform: [0] }],
    ['layers with all-linear', { targetModules: 'all-linear', layersToTransform: [0] }],
    ['a list of layers without layers', { targetModules: ['query'], layersPattern: 'layer' }],
    ['a broken pattern', { targetModules: '(' }],
    ['a broken rank pattern', { targetModules: ['query'], rankPattern: { '(': 2 } }],
  ])('so is what PEFT refuses: %s', (_, config) => {
    expect(() => select(config)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });
});

/** PEFT's `check_target_module_exists`, line by line, with JavaScript's own patterns. */
function naive(path: string, config: TargetConfig): boolean {
  const suffixOf = (list: readonly string[]): boolean => list.some((name) => path.endsWith(`.${name}`));
  const { targetModules: targets, excludeModules: excluded, modulesToSave, layersToTransform, layersPattern } = config;
  if (excluded) {
    if (typeof excluded === 'string') {
      if (new RegExp(`^(?:${excluded})$`).test(path)) return false;
    } else if (excluded.includes(path) || suffixOf(excluded)) return false;
  }
  for (const name of modulesToSave ?? []) {
    if (new RegExp(`^(^|.*\\.)${name}($|\\..*)`).test(path)) return false;
  }
  if (typeof targets === 'string') return new RegExp(`^(?:${targets})$`).test(path);
  if (targets!.includes(path)) return true;
  let found = suffixOf(targets!);
  const indexes = layersToTransform;
  if (found && indexes !== null && indexes !== undefined && (typeof indexes === 'number' || indexes.length > 0)) {
    let match: RegExpExecArray | null = null;
    if (!layersPattern?.length) match = /^.*?\.[^.]*\.(\d+)\./.exec(path);
    else {
      for (const pattern of typeof layersPattern === 'string' ? [layersPattern] : layersPattern) {
        match = new RegExp(`^.*?\\.${pattern}\\.(\\d+)\\.`).exec(path);
        if (match) break;
      }
    }
    if (!match) found = false;
    else found = typeof indexes === 'number' ? indexes === Number(match[1]) : indexes.includes(Number(match[1]));
  }
  return found;
}

describe('the rules agree with', () => {
  it('a second, naive implementation', () => {
    const part = fc.constantFrom('a', 'b', 'ab', '0', '1', '12', 'layer', 'h');
    const path = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('.'));
    const list = fc.array(fc.oneof(path, part), { maxLength: 4 });
    const pattern = fc.constantFrom('.*a', '.*\\.(a|b)', 'a.*|.*\\.\\d+\\.b', '(?!.*layer).*b$', '[ab]+\\..*', '.*');
    const listed = fc.record({
      targetModules: list,
      layersToTransform: fc.constantFrom(undefined, null, 0, 1, [0, 12], []),
      layersPattern: fc.constant(null),
    });
    const layered = fc.record({
      targetModules: list,
      layersToTransform: fc.constantFrom(0, 1, [0, 1], [12]),
      layersPattern: fc.constantFrom('layer', 'h', ['layer', 'h'], ['h'], '(?:a|b)', '[ah].*'),
    });
    const matched = fc.record({ targetModules: pattern });
    const others = fc.record({
      excludeModules: fc.oneof(fc.constant(null), list, pattern),
      modulesToSave: fc.oneof(fc.constant(null), fc.array(fc.constantFrom('c', 'ab.a', 'b.0'), { maxLength: 1 })),
    });
    fc.assert(
      fc.property(fc.array(path, { maxLength: 12 }), fc.oneof(listed, layered, matched), others, (paths, one, two) => {
        const config: TargetConfig = { ...one, ...two };
        const { targets, modulesToSave } = selectModules(linear(...paths), config, { strict: false });
        const expected = [...new Set(paths)].filter((each) => naive(each, config) && !modulesToSave.includes(each));
        expect(targets).toEqual(expected);
      }),
      { numRuns: 1500 },
    );
  });

  it.skipIf(!existsSync(cases))('PEFT, in every LoRA case of the oracle', () => {
    const kinds: Record<string, string> = { Linear: 'linear', NonDynamicallyQuantizableLinear: 'linear', Conv1D: 'linear', Conv1d: 'conv1d', Conv2d: 'conv2d', Embedding: 'embedding' }; // prettier-ignore
    let count = 0;
    for (const name of readdirSync(cases)) {
      const json = JSON.parse(readFileSync(join(cases, name, 'adapter/adapter_config.json'), 'utf8')) as Record<string, unknown>; // prettier-ignore
      const truth = JSON.parse(readFileSync(join(cases, name, 'case.json'), 'utf8')) as { adapted: string[]; modules: Record<string, [number[], string]> }; // prettier-ignore
      if (json.peft_type !== 'LORA' || json.target_parameters || json.trainable_token_indices) continue;
      const modules = Object.entries(truth.modules).map(([path, [, type]]) => ({ path, kind: kinds[type] ?? type }));
      const { targets } = selectModules(modules, parseAdapterConfig(json, name), { strict: false });
      // With ensure_weight_tying PEFT adapts the tied layer too, and no rule targets that.
      if (json.ensure_weight_tying) continue;
      // MultiheadAttention is no module of the list.
      const adapted = truth.adapted.filter((path) => path in truth.modules);
      expect(targets.toSorted(), name).toEqual(adapted.toSorted());
      count++;
    }
    expect(count).toBeGreaterThan(85);
  });
});
