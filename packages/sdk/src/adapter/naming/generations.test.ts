/** @file Tests of adapters across the names of two versions of transformers. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { selectModules } from '../../lora/targets.ts';
import { float32 } from '../../runtime/tensor.ts';
import { Adapter } from '../adapter.ts';
import { adaptNames, namesWarning, tablesOf, inNaming, transformersGeneration } from './generations.ts';
import { type Generation, type NameTable, translatePath } from './nameTable.ts';
import { type AdapterConfig, adapterConfig } from '../formats/peftConfig.ts';
import { scalingOf } from '../formats/scaling.ts';
import { parseTensorName, type TensorRole, tensorName } from '../formats/tensorNames.ts';

/** ViT's layers, as transformers 4 and 5 have them. */
const table: NameTable = {
  pairs: [
    ...['query', 'key', 'value'].map((name) => ({
      4: `encoder.layer.{n}.attention.attention.${name}`,
      5: `layers.{n}.attention.${name[0]!}_proj`,
    })),
    { 4: 'encoder.layer.{n}.attention.output.dense', 5: 'layers.{n}.attention.o_proj' },
    { 4: 'encoder.layer.{n}.intermediate.dense', 5: 'layers.{n}.mlp.fc1' },
    { 4: 'encoder.layer.{n}.output.dense', 5: 'layers.{n}.mlp.fc2' },
    { 4: 'encoder.layer.{n}', 5: 'layers.{n}' },
    { 4: 'fused' },
  ],
};
const names: Readonly<Record<Generation, readonly string[]>> = {
  4: ['attention.attention.query', 'attention.attention.key', 'attention.attention.value', 'attention.output.dense', 'intermediate.dense', 'output.dense'],
  5: ['attention.q_proj', 'attention.k_proj', 'attention.v_proj', 'attention.o_proj', 'mlp.fc1', 'mlp.fc2'],
}; // prettier-ignore
const prefix = { 4: 'vit.encoder.layer', 5: 'vit.layers' } as const;
const paths = (generation: Generation): string[] => [
  'vit.embeddings.projection',
  ...[0, 1, 10].flatMap((layer) => names[generation].map((name) => `${prefix[generation]}.${layer}.${name}`)),
  'vit.pooler.dense',
  'classifier',
];
const family = { name: 'vit', generations: [table] };

/** An adapter of these modules, with tensors that tell them apart. */
function adapterOf(
  modules: readonly string[],
  config: Partial<AdapterConfig> = {},
  others: readonly (readonly [string, TensorRole])[] = [],
): Adapter {
  const entries = [
    ...modules.flatMap((module) => [[module, 'lora_A'] as const, [module, 'lora_B'] as const]),
    ...others,
  ];
  const tensors = entries.map(([module, role], i) => [tensorName(module, role), float32([i], [1])] as const);
  return new Adapter(
    adapterConfig({ r: 4, loraAlpha: 8, targetModules: modules, ...config }),
    new Map(tensors),
    'digest',
  );
}

const modulesIn = (adapter: Adapter): string[] =>
  [...adapter.tensors.keys()].map((name) => parseTensorName(name).module);

describe('adaptNames', () => {
  it.each([
    [4, 5],
    [5, 4],
  ] as const)('from transformers %d to %d', (from, to) => {
    const before = adapterOf(paths(from).slice(1, -1), {}, [
      [`${prefix[from]}.1.${names[from][0]!}`, 'lora_magnitude_vector'],
      [`${prefix[from]}.1.${names[from][0]!}`, 'base_layer.bias'],
      [`${prefix[from]}.1.layernorm_before`, 'parameter'],
      ['classifier', 'parameter'],
      ['', 'parameter'],
    ]);
    const adapter = adaptNames(before, paths(to), [table]);
    expect([...adapter.tensors.values()]).toEqual([...before.tensors.values()]);
    expect(modulesIn(adapter)).toEqual(modulesIn(before).map((path) => translatePath(path, table, to)));
    expect([...adapter.tensors.keys()]).toContain(
      `base_model.model.${prefix[to]}.1.${names[to][0]!}.lora_magnitude_vector`,
    );
    expect([...adapter.tensors.keys()]).toContain(`base_model.model.${prefix[to]}.1.layernorm_before.weight`);
    expect(adapter.config.targetModules).toEqual(paths(to).slice(1, -1));
    expect(adapter.baseDigest).toBe('digest');
    // The other direction gives the same adapter back.
    expect(adaptNames(adapter, paths(from), [table])).toEqual(before);
  });

  it('leaves an adapter alone that fits, or that fits as badly either way', () => {
    const fits = adapterOf(paths(5).slice(1, 3));
    expect(adaptNames(fits, paths(5), [table])).toBe(fits);
    const foreign = adapterOf(['bert.encoder.layer.0.attention.self.query', 'classifier']);
    expect(adaptNames(foreign, paths(5), [table])).toBe(foreign);
    const headOnly = adapterOf(['classifier']);
    expect(adaptNames(headOnly, paths(5), [table])).toBe(headOnly);
  });

  it('chooses the table that fits the graph', () => {
    const towers = ['vision_model', 'text_model'].map((tower) => ({
      architectures: [tower],
      pairs: [{ 4: `^${tower}.encoder`, 5: '^encoder' }],
    }));
    const adapter = adapterOf(['encoder.layers.0.q_proj'], { targetModules: ['q_proj'] });
    const named = adaptNames(adapter, ['text_model.encoder.layers.0.q_proj'], towers);
    expect(modulesIn(named)[0]).toBe('text_model.encoder.layers.0.q_proj');
    expect(named.config.targetModules).toEqual(['q_proj']);
  });

  it('does not put one tower into the other, where the class of the graph is known', () => {
    const towers = ['Vision', 'Text'].map((name) => ({
      architectures: [`CLIP${name}Model`],
      pairs: [{ 4: `^${name.toLowerCase()}_model.encoder`, 5: '^encoder' }],
    }));
    const base = { family: { name: 'clip', generations: towers } };
    const text = { ...base, config: { architectures: ['CLIPTextModel'] } };
    expect(tablesOf(text)).toEqual([towers[1]]);
    // A repository of both towers does not say which of them was exported.
    expect(tablesOf({ ...base, config: { architectures: ['CLIPModel'] } })).toEqual(towers);
    expect(tablesOf(base)).toEqual(towers);
    expect(tablesOf({})).toEqual([]);
    const vision = adapterOf(['vision_model.encoder.layers.0.q_proj']);
    expect(adaptNames(vision, ['encoder.layers.0.q_proj'], tablesOf(text))).toBe(vision);
    expect(modulesIn(adaptNames(vision, ['encoder.layers.0.q_proj'], tablesOf(base)))[0]).toBe(
      'encoder.layers.0.q_proj',
    );
  });

  it('says which version the names are of, where no table is known', () => {
    const at = (from: Generation, to: Generation) => () =>
      adaptNames(adapterOf(paths(from).slice(1, 3)), paths(to), []);
    expect(at(4, 5)).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: None of the adapter's modules is in the model: "vit.encoder.layer.0.attention.attention.query" looks like a name of transformers 4, while the model's names look like those of transformers 5. Open the model with its family, which knows both: openModel(source, { families }) with the families of its domain's package.]`,
    );
    expect(at(5, 4)).toThrow('"vit.layers.0.attention.q_proj" looks like a name of transformers 5');
    expect(at(4, 4)).not.toThrow();
    // Nothing is said of names that show no version.
    expect(() => adaptNames(adapterOf(['a.b']), paths(5), [])).not.toThrow();
    const tower = adapterOf(['vision_model.encoder.layers.0.q_proj']);
    expect(() => adaptNames(tower, ['encoder.layers.0.q_proj'], [])).toThrow('looks like a name of transformers 4');
    expect(() => adaptNames(adapterOf(['encoder.norm']), ['text_model.encoder.norm'], [])).toThrow('transformers 5');
  });

  it('refuses modules that were split, and modules that come twice', () => {
    const split = adapterOf([...paths(4).slice(1, 3), 'fused']);
    expect(() => adaptNames(split, paths(5), [table])).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: The adapter's module "fused" has no counterpart in transformers 5, which holds its weight in other pieces. Export the base model with transformers 4, and use the adapter there.]`,
    );
    const twice = adapterOf([...paths(4).slice(1, 4), paths(5)[1]!]);
    expect(() => adaptNames(twice, paths(5), [table])).toThrow('holds a module twice');
  });
});

describe('inNaming', () => {
  it('gives the names of a version, and keeps them', () => {
    const old = adapterOf(paths(4).slice(1, 7));
    const recent = inNaming(old, 5, { family });
    expect(modulesIn(recent)[0]).toBe('vit.layers.0.attention.q_proj');
    expect(inNaming(recent, 5, { family })).toBe(recent);
    expect(inNaming(recent, 4, { family })).toEqual(old);
    expect(inNaming(old, 5, { family: { name: 'bert' } })).toBe(old);
  });

  it('needs a family', () => {
    expect(() => inNaming(adapterOf(['a']), 5, {})).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: How transformers 5 calls the adapter's modules is known by the model's family, and no family is given. Open the model with the families of its domain's package, or pass one.]`,
    );
  });

  describe('the class, where it decides,', () => {
    const clip = {
      name: 'clip',
      generations: [{ architectures: ['CLIPVisionModel'], pairs: [{ 4: '^vision_model.encoder', 5: '^encoder' }] }],
    };
    const tower = adapterOf(['vision_model.encoder.layers.0.q_proj']);
    const first = (adapter: Adapter): string => modulesIn(adapter)[0]!;

    it('is read from config.json, or from what PEFT has noted', () => {
      const config = { architectures: ['CLIPVisionModel'] };
      expect(first(inNaming(tower, 5, { family: clip, config }))).toBe('encoder.layers.0.q_proj');
      const noted = { extra: { auto_mapping: { base_model_class: 'CLIPVisionModel' } } };
      expect(first(inNaming(adapterOf([first(tower)], noted), 5, { family: clip }))).toBe('encoder.layers.0.q_proj');
      // The class in PEFT's notes is exact; config.json may be that of a larger model.
      const larger = { architectures: ['CLIPModel'] };
      expect(first(inNaming(adapterOf([first(tower)], noted), 5, { family: clip, config: larger }))).toBe(
        'encoder.layers.0.q_proj',
      );
      const other = { architectures: ['CLIPVisionModelWithProjection'] };
      expect(inNaming(tower, 5, { family: clip, config: other })).toBe(tower);
    });

    it('must be known, unless a module tells', () => {
      expect(() => inNaming(tower, 5, { family: clip })).toThrowErrorMatchingInlineSnapshot(
        `[OnnxLoraError: Whether transformers 5 calls "vision_model.encoder.layers.0.q_proj" otherwise depends on the class of the model: CLIPVisionModel do, other classes of the family "clip" do not. Give the model, with "architectures" in its config.json.]`,
      );
      const projected = adapterOf([first(tower), 'visual_projection']);
      expect(inNaming(projected, 5, { family: clip })).toBe(projected);
    });
  });
});

describe('the config', () => {
  const renamed = (modules: readonly string[], config: Partial<AdapterConfig>, to: Generation = 5): AdapterConfig =>
    inNaming(adapterOf(modules, config), to, { family }).config;
  const all = { 4: paths(4).slice(1, -2), 5: paths(5).slice(1, -2) };
  const ending = (generation: Generation, ...ends: string[]): string[] =>
    all[generation].filter((path) => ends.some((end) => path.endsWith(`.${end}`)));

  it.each<[string, Generation, string[], Partial<AdapterConfig>, Partial<AdapterConfig>]>([
    ['short names', 5, ['query', 'value'], { targetModules: ['query', 'value'] }, { targetModules: ['q_proj', 'v_proj'] }],
    ['a name of several modules', 5, ['dense'], { targetModules: ['dense'] }, { targetModules: ['o_proj', 'fc1', 'fc2'] }],
    ['names of two parts', 5, ['intermediate.dense'], { targetModules: ['intermediate.dense'] }, { targetModules: ['mlp.fc1'] }],
    ['a short name that would mean more', 4, ['fc1'], { targetModules: ['fc1'] }, { targetModules: ending(4, 'intermediate.dense') }],
    ['names that would become one', 4, ['o_proj', 'fc1', 'fc2'], { targetModules: ['o_proj', 'fc1', 'fc2'] }, { targetModules: ending(4, 'dense') }],
    ['a pattern', 5, ['query'], { targetModules: '.*query' }, { targetModules: ending(5, 'q_proj') }],
    ['a pattern to exclude', 5, ['query'], { targetModules: ['query'], excludeModules: '.*value' }, { targetModules: ending(5, 'q_proj'), excludeModules: null }],
    ['names to exclude', 5, ['query', 'key'], { targetModules: 'all-linear', excludeModules: ['dense', 'value'] }, { targetModules: 'all-linear', excludeModules: ['o_proj', 'fc1', 'fc2', 'v_proj'] }],
    ['layers', 5, ['layer.1.attention.attention.query'], { targetModules: ['query'], layersToTransform: [1] }, { targetModules: ['vit.layers.1.attention.q_proj'], layersToTransform: null }],
    ['patterns for layers', 5, ['layer.1.attention.attention.query'], { targetModules: ['query'], layersToTransform: 1, layersPattern: 'layer' }, { targetModules: ['vit.layers.1.attention.q_proj'], layersToTransform: null, layersPattern: null }],
    ['target parameters', 5, ['query'], { targetModules: null, targetParameters: ['encoder.layer.0.intermediate.dense.weight'] }, { targetModules: null, targetParameters: ['layers.0.mlp.fc1.weight'] }],
    ['rows of an embedding', 5, ['query'], { trainableTokenIndices: { 'vit.encoder.layer.0.table': [1] } }, { trainableTokenIndices: { 'vit.layers.0.table': [1] } }],
    ['a head', 5, ['query'], { targetModules: ['query'], modulesToSave: ['classifier'] }, { targetModules: ['q_proj'], modulesToSave: ['classifier'] }],
  ])('%s (to %d)', (_, to, ends, before, after) => {
    expect(renamed(ending(to === 5 ? 4 : 5, ...ends), before, to)).toMatchObject(after);
  }); // prettier-ignore

  it('modules trained in full', () => {
    const layer = `${prefix[4]}.1`;
    const saved = (modulesToSave: string[], ...modules: string[]): readonly string[] | null =>
      inNaming(
        adapterOf(ending(4, 'query').slice(0, 1), { modulesToSave }, modules.map((module) => [module, 'parameter'] as const)),
        5,
        { family },
      ).config.modulesToSave; // prettier-ignore
    expect(saved([`${layer}.layernorm_before`], `${layer}.layernorm_before`)).toEqual([
      'vit.layers.1.layernorm_before',
    ]);
    expect(saved(['layernorm_after'], `${layer}.layernorm_after`)).toEqual(['layernorm_after']);
    expect(saved([`${layer}.intermediate`], `${layer}.intermediate.dense`)).toEqual(['vit.layers.1.mlp.fc1']);
  });

  it('ranks and alphas', () => {
    const patterns = {
      rankPattern: { query: 2, 'intermediate.dense': 6 },
      alphaPattern: { '^vit.encoder.layer.1.output.dense': 3 },
    };
    expect(renamed(all[4], patterns)).toMatchObject({
      rankPattern: { q_proj: 2, 'mlp\\.fc1': 6 },
      alphaPattern: { '^vit\\.layers\\.1\\.mlp\\.fc2': 3 },
    });
    // Patterns beyond a name are written out, module by module.
    const { rankPattern } = renamed(ending(4, 'query'), { rankPattern: { [String.raw`layer\.[01]\..*query`]: 2 } });
    expect(rankPattern).toEqual({
      'vit\\.layers\\.10\\.attention\\.q_proj': 4,
      'vit\\.layers\\.0\\.attention\\.q_proj': 2,
      'vit\\.layers\\.1\\.attention\\.q_proj': 2,
    });
  });

  it('chooses the same modules with the same scaling, whatever it says', () => {
    for (const to of [4, 5] as const) {
      const from = to === 5 ? 4 : 5;
      const word = fc.constantFrom(
        ...names[from],
        ...names[from].map((name) => name.split('.').at(-1)!),
        ...all[from],
        'classifier',
      );
      const table_ = fc.dictionary(
        fc.oneof(
          word,
          word.map((name) => `.*${name.slice(0, 6)}.*`),
        ),
        fc.integer({ min: 1, max: 9 }),
        { maxKeys: 3 },
      );
      const config = fc.record({
        targetModules: fc.oneof(fc.array(word, { minLength: 1, maxLength: 4 }), word.map((name) => `.*${name.slice(-6)}`), fc.constant('all-linear')),
        excludeModules: fc.oneof(fc.constant(null), fc.array(word, { maxLength: 2 }), word.map((name) => `.*${name}`)),
        rankPattern: table_,
        alphaPattern: table_,
      }); // prettier-ignore
      const select = (generation: Generation, fields: Partial<AdapterConfig>): string[] =>
        selectModules(
          paths(generation).map((path) => ({ path, kind: 'linear' })),
          fields,
          { strict: false },
        ).targets;
      fc.assert(
        fc.property(config, (fields) => {
          const targets = select(from, fields);
          if (targets.length === 0) return;
          const before = adapterOf(targets, fields);
          const after = inNaming(before, to, { family });
          // An adapter of the head alone has nothing to rename.
          const path = (each: string): string => translatePath(each, table, to)!;
          if (targets.every((each) => path(each) === each)) expect(after).toBe(before);
          else expect(select(to, after.config)).toEqual(targets.map(path));
          for (const each of targets) {
            expect(scalingOf(after.config, path(each))).toEqual(scalingOf(before.config, each));
          }
        }),
        { seed: 3, numRuns: 150 },
      );
    }
  });
});

describe('the version that wrote a config.json', () => {
  it.each([
    ['4.46.0', 4],
    ['3.0.2', 4],
    ['4.13.0.dev0', 4],
    ['5.24.0', 5],
    ['10.0.0', 5],
    [undefined, undefined],
    [5, undefined],
    ['new', undefined],
  ])('%s', (transformers_version, version) => {
    expect(transformersGeneration({ transformers_version })).toBe(version);
  });

  it('decides whether names need a warning', () => {
    const base = (transformers_version?: string) => ({ name: 'photos', family, config: { transformers_version } });
    expect(namesWarning(paths(4), base('4.46.0'))).toBeUndefined();
    expect(namesWarning(paths(5), base('5.24.0'))).toBeUndefined();
    expect(namesWarning(paths(4), base())).toMatch(/names of transformers 4, .*"photos" does not say .*transformers_version.*--names 5/); // prettier-ignore
    expect(namesWarning(paths(4), base('5.24.0'))).toMatch(/was written by transformers 5\. PEFT with transformers 5/);
    expect(namesWarning(paths(5), base())).toMatch(/names of transformers 5, .*--names 4/);
    // Names that both versions share need no warning, nor do those of unknown families.
    expect(namesWarning(['vit.pooler.dense', 'classifier'], base())).toBeUndefined();
    expect(namesWarning(paths(4), { name: 'photos' })).toBeUndefined();
  });

  it('does not matter to classes whose names are the same', () => {
    const tower = { pairs: [{ 4: '^vision_model.layers', 5: '^layers' }], architectures: ['Tower'] };
    const base = (architecture: string) => ({
      name: 'towers',
      family: { name: 'towers', generations: [tower] },
      config: { architectures: [architecture] },
    });
    expect(namesWarning(['vision_model.layers.0.q'], base('Towers'))).toBeUndefined();
    expect(namesWarning(['vision_model.layers.0.q'], base('Tower'))).toMatch(/names of transformers 4/);
  });
});
