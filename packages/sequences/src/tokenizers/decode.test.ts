/** @file Texts become ids and text again as transformers' tokenizers have it. */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openTokenizer } from './openTokenizer.ts';

const shared = fileURLToPath(new URL('../../../../../shared/', import.meta.url));
const goldens = `${shared}oracle/generate/text/tokenize.json`;

interface Golden {
  readonly ids: number[];
  readonly bare: number[];
  readonly decoded: string;
  readonly decoded_skip_special: string;
}

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
    }
  });
});
