/** @file Tests of generation_config.json, valid or contradictory, and the prompts that follow from it. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import '../../../../test/support/seed.ts';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { GenerationFile } from '@onnx-lora/sequences';
import type { SpeechTokenizer } from '../text/subwordTokenizer.ts';
import { type GenerationConfig, generationConfigOf, readGenerationConfig, promptOf } from './generationConfig.ts';

/** As openai/whisper-tiny.en and whisper-tiny have it. */
const english = {
  begin_suppress_tokens: [220, 50256],
  decoder_start_token_id: 50257,
  eos_token_id: 50256,
  forced_decoder_ids: [[1, 50362]],
  is_multilingual: false,
  max_initial_timestamp_index: 50,
  max_length: 448,
  no_timestamps_token_id: 50362,
  prev_sot_token_id: 50360,
  suppress_tokens: [1, 2],
};
const multilingual = {
  decoder_start_token_id: 50258,
  eos_token_id: 50257,
  forced_decoder_ids: [[1, null], [2, 50359]],
  is_multilingual: true,
  lang_to_id: { '<|en|>': 50259, '<|es|>': 50262 },
  no_timestamps_token_id: 50363,
  prev_sot_token_id: 50361,
  task_to_id: { transcribe: 50359, translate: 50358 },
}; // prettier-ignore
const of = (own: object, config: object = {}, tokenizer?: SpeechTokenizer): GenerationConfig =>
  generationConfigOf(new GenerationFile({ own: own as Record<string, unknown>, config: config as Record<string, unknown>, where: '"generation_config.json"' }), tokenizer); // prettier-ignore

describe('the configuration', () => {
  it('is that of the file, and of config.json where it is silent', () => {
    const config = of(english, { max_target_positions: 448, suppress_tokens: [7], num_beams: 3 });
    expect(config).toMatchObject({
      start: 50257,
      ends: [50256],
      suppress: [1, 2],
      beginSuppress: [220, 50256],
      forced: [50362],
      noTimestamps: 50362,
      previousStart: 50360,
      maxInitialTimestamp: 50,
      maxLength: 448,
      maxPositions: 448,
      beams: 3,
      lengthPenalty: 1,
      earlyStopping: false,
    });
    expect(config.languages.size).toBe(0);
    expect([...of(multilingual).languages]).toEqual([['en', 50259], ['es', 50262]]); // prettier-ignore
    expect(of({ bos_token_id: 1, eos_token_id: [2, 3], suppress_tokens: null }).ends).toEqual([2, 3]);
  });

  it('takes the names of tokens from the tokenizer where the file leaves them out', () => {
    const names = ['<|endoftext|>', '<|startoftranscript|>', '<|en|>', '<|zh|>', '<|yue|>', '<|translate|>', '<|transcribe|>', '<|startoflm|>', '<|startofprev|>', '<|nospeech|>', '<|notimestamps|>']; // prettier-ignore
    const tokenizer: SpeechTokenizer = {
      encode: () => [],
      decode: () => '',
      idOf: (token) => (names.includes(token) ? 10 + names.indexOf(token) : undefined),
      tokenOf: (id) => names[id - 10],
      size: 21,
    };
    const own = { decoder_start_token_id: 11, eos_token_id: 10 };
    const config = of(own, { vocab_size: 51_865 }, tokenizer);
    expect([...config.languages]).toEqual([['en', 12], ['zh', 13], ['yue', 14]]); // prettier-ignore
    expect([...config.tasks]).toEqual([['transcribe', 16], ['translate', 15]]); // prettier-ignore
    expect([config.noTimestamps, config.previousStart]).toEqual([20, 18]);
    // A model of English alone has the tokens too, and has not learned them.
    expect(of(own, { vocab_size: 51_864 }, tokenizer).languages.size).toBe(0);
  });

  it.each([
    [{ eos_token_id: 1 }, '"decoder_start_token_id" in "generation_config.json" must be the id'],
    [{ bos_token_id: 1 }, '"eos_token_id"'],
    [{ ...english, suppress_tokens: [-1] }, '"suppress_tokens" in "generation_config.json" must be a list of ids of tokens. Copy'],
    [{ ...english, begin_suppress_tokens: 'x' }, '"begin_suppress_tokens"'],
    [{ ...english, forced_decoder_ids: [[2, 5]] }, '"forced_decoder_ids"'],
    [{ ...english, lang_to_id: { en: 'x' } }, '"lang_to_id"'],
    [{ ...english, max_length: 1.5 }, '"max_length"'],
    [{ ...english, num_beams: 1e9 }, '"num_beams"'],
    [{ ...english, early_stopping: 'soon' }, '"early_stopping"'],
    [{ ...english, alignment_heads: [[1]] }, '"alignment_heads"'],
    [{ ...english, repetition_penalty: 0 }, '"repetition_penalty"'],
  ])('refuses %j', (own, message) => {
    expect(() => of(own)).toThrow(message);
  }); // prettier-ignore

  it('takes anything that is JSON, or refuses it by name', () => {
    const keys = [
      ...Object.keys(english),
      ...Object.keys(multilingual),
      'num_beams',
      'alignment_heads',
      'length_penalty',
    ];
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys), fc.jsonValue()), (own) => {
        try {
          of({ ...english, ...own });
        } catch (error) {
          expect(error).toBeInstanceOf(OnnxLoraError);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is read from the folder', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-config-'));
    const model = { name: 'm', folder, inputs: {}, outputs: {} };
    try {
      await expect(readGenerationConfig(model)).rejects.toThrow('in config.json of "m"');
      writeFileSync(path.join(folder, 'generation_config.json'), JSON.stringify(english));
      expect((await readGenerationConfig(model)).start).toBe(50257);
      writeFileSync(path.join(folder, 'generation_config.json'), '{');
      await expect(readGenerationConfig(model)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the prompt', () => {
  it("is transformers' for a model of English alone", () => {
    const config = of(english);
    expect(promptOf(config, { timestamps: false })).toEqual([50257, 50362]);
    expect(promptOf(config, { timestamps: true })).toEqual([50257]);
    expect(promptOf(config, { timestamps: true, previous: [5, 6] })).toEqual([50360, 5, 6, 50257]);
    expect(promptOf(config, { language: 'en', timestamps: true })).toEqual([50257]);
    expect(() => promptOf(config, { timestamps: false, language: 'es' })).toThrow('language "es". It knows en.');
    expect(() => promptOf(config, { timestamps: false, task: 'translate' })).toThrow(
      'does not know the task "translate"',
    );
  });

  it("is transformers' for a model of several languages", () => {
    const config = of(multilingual);
    expect(promptOf(config, { language: 'es', timestamps: false })).toEqual([50258, 50262, 50359, 50363]);
    expect(promptOf(config, { language: 'es', task: 'translate', timestamps: true })).toEqual([50258, 50262, 50358]);
    expect(() => promptOf(config, { timestamps: false })).toThrow(
      'knows 2 languages, and none is chosen. Name one: en, es.',
    );
    expect(() => promptOf(config, { language: 'xx', timestamps: false })).toThrow('language "xx". It knows en, es.');
    // Half of the positions, less the start of what was said before.
    const long = promptOf(config, {
      language: 'en',
      timestamps: true,
      previous: Array.from({ length: 400 }, (_, i) => i),
    });
    expect([long.length, long[0], long[1]]).toEqual([1 + 223 + 3, 50361, 177]);
  });

  it('has no times where the model has no tokens for them', () => {
    const config = of({ bos_token_id: 1, eos_token_id: 2 });
    expect(promptOf(config, { timestamps: false })).toEqual([1]);
    expect(() => promptOf(config, { timestamps: true })).toThrow('has no tokens for times');
  });
});
