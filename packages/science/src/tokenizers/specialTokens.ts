/** @file Which tokens are special, as the files beside a model say. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { isObject, type JsonObject } from '@onnx-lora/sdk/data';

/** The parts that transformers knows. */
const parts = ['pad', 'unk', 'mask', 'cls', 'sep', 'bos', 'eos'] as const;

/** Special tokens by the part they play; null where the files say that there is none, absent where they say nothing. */
export type SpecialTokens = Readonly<Partial<Record<(typeof parts)[number], string | null>>>;

/** What these parts are called where no file says so. */
const usual: Readonly<Record<(typeof parts)[number], readonly string[]>> = {
  pad: ['[PAD]', '<pad>'],
  unk: ['[UNK]', '<unk>'],
  mask: ['[MASK]', '<mask>'],
  cls: ['[CLS]', '<cls>', '<s>'],
  sep: ['[SEP]', '</s>'],
  bos: ['<s>', '<bos>'],
  eos: ['</s>', '<eos>'],
};

/** Special tokens by tokenizer_config.json, or else special_tokens_map.json. */
export function readSpecialTokens(config: JsonObject, map: JsonObject): SpecialTokens {
  const found = parts.flatMap((part) => {
    const key = `${part}_token`;
    const value = Object.hasOwn(config, key) ? config[key] : map[key];
    const token = isObject(value) ? value['content'] : value;
    return typeof token === 'string' || token === null ? [[part, token] as const] : [];
  });
  return Object.fromEntries(found);
}

/** Ids of the parts in a vocabulary. */
export interface SpecialIds {
  readonly ids: {
    readonly padId: number;
    readonly unknownId: number | undefined;
    readonly maskId: number | undefined;
  };
  /** In front of a sequence, and behind it. */
  readonly around: { readonly begin: readonly number[]; readonly end: readonly number[] };
}

/**
 * Finds special tokens in a vocabulary, by the names that the files give, or else by the usual ones.
 *
 * @param pad the id of padding by config.json, where neither says it
 * @param path of the vocabulary, for messages
 * @throws OnnxLoraError `CONFIG_INVALID` where nothing can fill up a row, or the files name a token that the vocabulary has not
 */
export function specialIds(
  idOf: (token: string) => number | undefined,
  tokens: SpecialTokens,
  pad: number | undefined,
  path: string,
): SpecialIds {
  const id = (part: keyof SpecialTokens): number | undefined => {
    const named = tokens[part];
    if (named === null) return undefined;
    if (named !== undefined) return idOf(named);
    return usual[part].map(idOf).find((each) => each !== undefined);
  };
  const padId = id('pad') ?? pad;
  if (padId === undefined) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `Nothing says which token of "${path}" fills up short rows. Copy tokenizer_config.json and special_tokens_map.json from where the model was published.`,
    );
  }
  const [begin, end] = [id('cls') ?? id('bos'), id('sep') ?? id('eos')];
  return {
    ids: { padId, unknownId: id('unk'), maskId: id('mask') },
    around: { begin: begin === undefined ? [] : [begin], end: end === undefined ? [] : [end] },
  };
}
