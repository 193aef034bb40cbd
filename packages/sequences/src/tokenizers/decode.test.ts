/** @file Texts become ids and text again as transformers' tokenizers have it. */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { dataFolder } from '../fixtures/dataFolder.ts';
import { openTokenizer } from './openTokenizer.ts';
import type { SequenceTokenizer } from './sequenceTokenizer.ts';

const shared = fileURLToPath(new URL('../../../../../shared/', import.meta.url));
const goldens = `${shared}oracle/generate/text/tokenize.json`;

interface Golden {
  readonly ids: number[];
  readonly bare: number[];
  readonly decoded: string;
  readonly decoded_skip_special: string;
}

/** Bytes of tokens as a text; without the blank that some decoders take from the beginning. */
function spelled(tokenizer: SequenceTokenizer, ids: readonly number[]): string {
  const bytes = ids.flatMap((id) => [...(tokenizer.bytesOf!(id) ?? [])]);
  return Buffer.from(bytes).toString('utf8').replace(/^ /, '');
}

const decoders = {
  pieces: { type: 'Sequence', decoders: [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }, { type: 'Strip', content: ' ', start: 1, stop: 0 }] }, // prettier-ignore
  metaspace: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
};

it.each(Object.entries(decoders))('the bytes of sentence pieces are those of what they decode to: %s', async (name, decoder) => {
  const bytes = name === 'pieces' ? ['<0xC3>', '<0xA9>', '<0x0A>'] : ['é', 'ß', '日'];
  const tokens = ['<unk>', '</s>', ...bytes, '▁naïve', '▁', ',', 'x▁y'];
  const added_tokens = [{ id: 1, content: '</s>', special: true, lstrip: false, rstrip: false, normalized: false, single_word: false }]; // prettier-ignore
  const model = { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges: [], unk_token: '<unk>', byte_fallback: true }; // prettier-ignore
  const folder = dataFolder({ 'tokenizer.json': JSON.stringify({ added_tokens, model, decoder, normalizer: null, pre_tokenizer: null, post_processor: null }) }); // prettier-ignore
  const tokenizer = await openTokenizer({ name, folder, config: { pad_token_id: 1 }, inputs: {}, outputs: {} });
  const ids = [5, 2, 3, 6, 7, 6, 8, 4, 7];
  expect(tokenizer.decode!(ids, { isExact: true })).toBe(spelled(tokenizer, ids));
  // Where the configuration does not say otherwise, a blank before a comma is taken out.
  expect(tokenizer.decode!(ids)).toBe(spelled(tokenizer, ids).replace(' ,', ','));
  expect(tokenizer.bytesOf!(1)).toBeUndefined();
}); // prettier-ignore

it('the bytes of byte-level tokens, and of added ones, which are written as they are', async () => {
  const vocab = Object.fromEntries(['</s>', 'Ã', '©', 'Ġx', 'é'].map((token, id) => [token, id]));
  const added_tokens = ['</s>', 'é'].map((content) => ({ id: vocab[content], content, special: content === '</s>', lstrip: false, rstrip: false, normalized: false, single_word: false })); // prettier-ignore
  const folder = dataFolder({ 'tokenizer.json': JSON.stringify({ added_tokens, model: { type: 'BPE', vocab, merges: [] }, decoder: { type: 'ByteLevel' }, normalizer: null, pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false }, post_processor: null }) }); // prettier-ignore
  const tokenizer = await openTokenizer({
    name: 'bytes',
    folder,
    config: { pad_token_id: 0 },
    inputs: {},
    outputs: {},
  });
  const ids = [1, 2, 3, 4, 1, 2];
  expect([tokenizer.decode!(ids), spelled(tokenizer, ids)]).toEqual(['é xéé', 'é xéé']);
});

it('a token whose text depends on others has no bytes of its own', async () => {
  const folder = dataFolder({ 'vocab.txt': ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'the', '##se'].join('\n') });
  expect((await openTokenizer({ name: 'bert', folder, config: {}, inputs: {}, outputs: {} })).bytesOf).toBeUndefined();
});

describe.skipIf(!existsSync(goldens))('oracle', () => {
  it.each(['minilm-l3', 'llama-tiny', 'gpt2-tiny'])('%s', async (name) => {
    const tokenizer = await openTokenizer({ name, folder: `${shared}models/${name}`, config: {}, inputs: {}, outputs: {} }); // prettier-ignore
    const texts = JSON.parse(readFileSync(goldens, 'utf8')) as (Record<string, Golden> & { readonly text: string })[];
    for (const { text, [name]: golden } of texts) {
      const { ids } = tokenizer.tokens(text);
      expect.soft(ids, text).toEqual(golden!.bare);
      expect.soft(tokenizer.framed(ids).ids, text).toEqual(golden!.ids);
      expect.soft(tokenizer.decode!(golden!.ids), text).toBe(golden!.decoded);
      expect.soft(tokenizer.decode!(golden!.ids, { skipSpecial: true }), text).toBe(golden!.decoded_skip_special);
      if (tokenizer.bytesOf) expect.soft(spelled(tokenizer, golden!.ids), text).toBe(golden!.decoded_skip_special.replace(/^ /, '')); // prettier-ignore
    }
  });
});
