/**
 * @file Checkpoints whose configs are drawn at random, each field that transformers has: built, they give what transformers
 * gives, or a field is refused by its name. `fixtures/drawn.py` draws them.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { isObject } from '@onnx-lora/sdk/data';
import { conformance } from '@onnx-lora/testing';
import { type DrawnCheckpoint, drawnCheckpoints, writeCheckpoint } from '../../../test/support/drawnCheckpoints.ts';
import { architectures } from './architectures/index.ts';
import { buildGraphs } from './buildGraphs.ts';
import { buildPlugin, buildPluginWith } from './plugin.ts';
import { isNightly } from '../../../test/support/nightly.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-drawn-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const all = drawnCheckpoints(path.join(import.meta.dirname, '../fixtures/drawn'));
/** Draws per type by day; all of them at night. */
const FEW = 3;
const plugins = { plain: buildPlugin, fused: buildPluginWith([], { form: 'fused' }) };

/** Fields with values that cannot be built, by model type. */
const refusable: Readonly<Record<string, readonly string[]>> = {
  beit: ['image_size'],
  bert: ['is_decoder', 'add_cross_attention'],
  'data2vec-text': ['is_decoder', 'add_cross_attention'],
  'data2vec-vision': ['image_size'],
  camembert: ['is_decoder', 'add_cross_attention'],
  'deberta-v2': ['legacy'],
  conditional_detr: ['dilation'],
  d_fine: ['decoder_method'],
  deformable_detr: ['dilation'],
  detr: ['dilation'],
  electra: ['is_decoder', 'add_cross_attention'],
  ernie: ['is_decoder', 'add_cross_attention'],
  esm: ['is_decoder', 'add_cross_attention'],
  gemma: ['use_bidirectional_attention'],
  gemma2: ['use_bidirectional_attention'],
  gpt2: ['add_cross_attention'],
  gpt_neox: ['is_decoder', 'rope_parameters.rope_type'],
  mt5: ['is_decoder'],
  rf_detr: ['num_feature_levels', 'backbone_config.reshape_hidden_states'],
  roberta: ['is_decoder', 'add_cross_attention'],
  rt_detr_v2: ['decoder_method'],
  t5: ['is_decoder'],
  'xlm-roberta': ['is_decoder', 'add_cross_attention'],
};
/** Activations with weights of their own, which are refused everywhere. */
const weighted = ['prelu', 'xielu'];
/** Fields that transformers itself runs with no other value in these classes, and why; by model type. */
const undrawn: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  beit: { add_fpn: 'of backbones alone' },
  ...Object.fromEntries(
    ['d_fine', 'rt_detr', 'rt_detr_v2'].map((type) => [
      type,
      {
        learn_initial_query: 'transformers cannot tile its table of queries',
        anchor_image_size: 'images of another size would not fit',
        attention_dropout: 'of training alone',
      },
    ]),
  ),
  mt5: { tie_word_embeddings: 'transformers sets it' },
  swinv2: { use_absolute_embeddings: 'its table of positions has a row too many in transformers' },
};

/** Outcome of a checkpoint: nothing where it is right, the field that is refused, or what is wrong. */
async function outcome(drawn: DrawnCheckpoint, form: keyof typeof plugins): Promise<string | undefined> {
  const folder = path.join(scratch, drawn.id);
  // The fused kernel takes several tokens behind a cache for one text alone: see layers/texts/fusedDecoder.test.ts.
  const runs = drawn.runs.filter(({ id }) => form === 'plain' || id !== 'chunk');
  writeCheckpoint({ ...drawn, runs }, folder);
  const { checks } = await conformance(folder, { plugins: [plugins[form]], checks: ['build'] });
  rmSync(folder, { recursive: true });
  const { status, detail } = checks[0]!;
  if (status === 'passed') return undefined;
  return /^MODEL_UNSUPPORTED: .*? asks for "([\w.]+)"/.exec(detail)?.[1] ?? detail;
}

describe.each([...all.keys()].sort())('%s', (type) => {
  const { cases, fields } = all.get(type)!;
  const known = refusable[type] ?? [];

  test.each(isNightly ? (['plain', 'fused'] as const) : (['plain'] as const))(
    'gives what transformers gives, %s',
    async (form) => {
      const drawn = isNightly ? cases : cases.slice(0, FEW);
      const outcomes = new Map<DrawnCheckpoint, string | undefined>();
      for (const each of drawn) outcomes.set(each, await outcome(each, form));
      const wrong = [...outcomes].filter(([{ config }, found]) => {
        if (found === undefined || known.includes(found)) return false;
        return !weighted.includes(String(valueAt(config, found)));
      });
      expect(wrong.map(([{ id }, found]) => `${id}: ${found}`)).toEqual([]);
      if (!isNightly) return;
      // No field is assumed: each was another than usual in a checkpoint that gives what transformers gives, or can be refused.
      const built = drawn.filter((each) => outcomes.get(each) === undefined);
      const assumed = Object.keys(fields).filter((field) => {
        const isOther = ({ config }: DrawnCheckpoint): boolean => isAnother(valueAt(config, field), fields[field]);
        return !built.some(isOther) && !known.includes(field) && !(field in (undrawn[type] ?? {}));
      });
      expect(assumed).toEqual([]);
    },
  );

  test('knows each field that is true where a config does not say, and refuses what nobody knows', async () => {
    const isPlain = ({ config }: DrawnCheckpoint): boolean =>
      !known.some((field) => valueAt(config, field) !== undefined) &&
      !weighted.some((name) => JSON.stringify(config).includes(`"${name}"`));
    const drawn = cases.find(isPlain) ?? cases[0]!;
    const refused = async (changed: object): Promise<string | undefined> => {
      const folder = path.join(scratch, `${drawn.id}-changed`);
      writeCheckpoint({ ...drawn, config: { ...drawn.config, ...changed } }, folder);
      return buildGraphs(folder).then(
        () => undefined,
        (error: unknown) => (error as Error).message,
      );
    };
    expect(await refused({ heads_beside: 3 })).toMatch(/"heads_beside": 3\. This is not known here/);
    // False of a field that nobody reads would pass: by a word is seen whether somebody does.
    for (const [field, usual] of Object.entries(fields)) {
      if (usual === true && !field.includes('.')) expect.soft((await refused({ [field]: 'word' })) ?? 'built', field).not.toMatch(/is not known here/); // prettier-ignore
    }
  });
});

test('each class that can be built is drawn', () => {
  const drawn = new Set([...all.values()].flatMap(({ cases }) => cases.map(({ architecture }) => architecture)));
  const names = architectures.flatMap(({ classes }) => Object.keys(classes));
  expect(names.filter((name) => !drawn.has(name))).toEqual([]);
});

function valueAt(config: object, place: string): unknown {
  return place.split('.').reduce<unknown>((value, name) => (isObject(value) ? value[name] : undefined), config);
}

/** Whether a config says another value than is usual. */
function isAnother(value: unknown, usual: unknown): boolean {
  return value !== undefined && JSON.stringify(value) !== JSON.stringify(usual);
}
