/** @file Tests of ESM's family on module paths of transformers 4 and 5, which agree. */

import { defaultTargetPaths } from '@onnx-lora/sdk';
import { describe, expect, it } from 'vitest';
import { esm } from './esm.ts';

const layer = (prefix: string): string[] =>
  [
    'attention.self.query',
    'attention.self.key',
    'attention.self.value',
    'attention.output.dense',
    'intermediate.dense',
    'output.dense',
  ].map((name) => `${prefix}encoder.layer.11.${name}`);
const masked = [
  'esm.embeddings.word_embeddings',
  ...layer('esm.'),
  'esm.contact_head.regression',
  'lm_head.dense',
  'lm_head.decoder',
];

describe('esm', () => {
  it('adapts query and value', () => {
    expect(defaultTargetPaths(esm, masked)).toEqual([
      'esm.encoder.layer.11.attention.self.query',
      'esm.encoder.layer.11.attention.self.value',
    ]);
    expect(defaultTargetPaths(esm, layer(''))).toEqual([
      'encoder.layer.11.attention.self.query',
      'encoder.layer.11.attention.self.value',
    ]);
  });

  it('knows one role for every module of the model', () => {
    const heads = ['classifier', 'classifier.dense', 'classifier.out_proj'];
    for (const path of [...masked, ...layer(''), ...heads, 'esm.embeddings.position_embeddings']) {
      const roles = Object.entries(esm.roles).filter(([, patterns]) =>
        patterns.some((pattern) => new RegExp(`^(?:${pattern.source})$`).test(path)),
      );
      expect(
        roles.map(([role]) => role),
        path,
      ).toHaveLength(1);
    }
  });

  it('is recognised by its configuration, else by its prefix', () => {
    expect(esm.recognise({ config: { model_type: 'esm' }, modulePaths: [] })).toBe(true);
    expect(esm.recognise({ config: { model_type: 'bert' }, modulePaths: masked })).toBe(false);
    expect(esm.recognise({ modulePaths: masked })).toBe(true);
    // Without the prefix the names are BERT's.
    expect(esm.recognise({ config: {}, modulePaths: layer('') })).toBe(false);
  });
});
