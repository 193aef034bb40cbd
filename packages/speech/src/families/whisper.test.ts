/** @file Tests of Whisper's family on module paths as exporters leave them. */

import { defaultTargetPaths } from '@onnx-lora/sdk/plugin';
import { describe, expect, it } from 'vitest';
import { whisper } from './whisper.ts';

const attention = (prefix: string): string[] =>
  ['q_proj', 'k_proj', 'v_proj', 'out_proj'].map((name) => `${prefix}.${name}`);
const encoder = (prefix: string): string[] => [
  `${prefix}conv1`,
  `${prefix}conv2`,
  `${prefix}embed_positions`,
  ...attention(`${prefix}layers.0.self_attn`),
  `${prefix}layers.0.fc1`,
  `${prefix}layers.0.fc2`,
];
const decoder = [
  'model.decoder.embed_tokens',
  ...attention('model.decoder.layers.10.self_attn'),
  ...attention('model.decoder.layers.10.encoder_attn'),
  'model.decoder.layers.10.fc1',
  'model.decoder.layers.10.fc2',
  'proj_out',
];
const whole = [...encoder('model.encoder.'), ...decoder];

describe('whisper', () => {
  it('adapts q_proj and v_proj wherever they occur', () => {
    expect(defaultTargetPaths(whisper, whole)).toEqual([
      'model.encoder.layers.0.self_attn.q_proj',
      'model.encoder.layers.0.self_attn.v_proj',
      'model.decoder.layers.10.self_attn.q_proj',
      'model.decoder.layers.10.self_attn.v_proj',
      'model.decoder.layers.10.encoder_attn.q_proj',
      'model.decoder.layers.10.encoder_attn.v_proj',
    ]);
    expect(defaultTargetPaths(whisper, encoder(''))).toEqual([
      'layers.0.self_attn.q_proj',
      'layers.0.self_attn.v_proj',
    ]);
  });

  it('knows one role for every module of the model', () => {
    for (const path of [...whole, ...encoder('')]) {
      const roles = Object.entries(whisper.roles).filter(([, patterns]) =>
        patterns.some((pattern) => new RegExp(`^(?:${pattern.source})$`).test(path)),
      );
      expect(
        roles.map(([role]) => role),
        path,
      ).toHaveLength(1);
    }
  });

  it('is recognised by its configuration, else by its encoder', () => {
    expect(whisper.matches({ config: { model_type: 'whisper' }, modulePaths: [] })).toBe(true);
    expect(whisper.matches({ config: { model_type: 'bart' }, modulePaths: whole })).toBe(false);
    expect(whisper.matches({ modulePaths: whole })).toBe(true);
    expect(whisper.matches({ modulePaths: encoder('') })).toBe(true);
    expect(whisper.matches({ config: {}, modulePaths: encoder('encoder.') })).toBe(true);
    // The names of a decoder alone are BART's too.
    expect(whisper.matches({ modulePaths: decoder })).toBe(false);
  });
});
