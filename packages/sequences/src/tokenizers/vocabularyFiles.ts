/** @file Converts older tokenizer files to tokenizer.json. */

import { readFile, stat } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { addedTokens, byteLevelJson, isObject, type JsonObject } from '@onnx-lora/sdk/data';

/** RoBERTa's (and ChemBERTa's) vocab.json and merges.txt: byte-level BPE between `<s>` and `</s>`. */
export function robertaJson(vocabulary: JsonObject, merges: readonly string[], config: JsonObject): JsonObject {
  const has = (token: string): boolean => typeof vocabulary[token] === 'number';
  const special = ['<s>', '<pad>', '</s>', '<unk>', '<mask>'].filter(has);
  return byteLevelJson({
    vocabulary,
    merges,
    added: addedTokens(
      special.map((content) => ({ id: vocabulary[content], content, special: true, lstrip: content === '<mask>' })),
      config,
    ),
    addsPrefixSpace: config['add_prefix_space'] === true,
    unknown: has('<unk>') ? '<unk>' : null,
    processor:
      has('<s>') && has('</s>')
        ? { type: 'RobertaProcessing', cls: ['<s>', vocabulary['<s>']], sep: ['</s>', vocabulary['</s>']] }
        : null,
  });
}

/** BERT's vocab.txt: WordPiece between `[CLS]` and `[SEP]`, lower-cased unless the configuration says otherwise. */
export function wordPieceJson(tokens: readonly string[], config: JsonObject): JsonObject {
  const vocabulary = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].filter((token) => Object.hasOwn(vocabulary, token));
  return {
    added_tokens: addedTokens(
      special.map((content) => ({ id: vocabulary[content], content, special: true })),
      config,
    ),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: config['tokenize_chinese_chars'] !== false,
      strip_accents: config['strip_accents'] ?? null,
      lowercase: config['do_lower_case'] !== false,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'BertProcessing',
      cls: ['[CLS]', vocabulary['[CLS]']],
      sep: ['[SEP]', vocabulary['[SEP]']],
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: { type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100, vocab: vocabulary }, // prettier-ignore
  };
}

/** A bound far above real files: 250,000 pieces take 5 MB. */
const MOST_BYTES = 64 * 2 ** 20;

/**
 * Pieces by id (field 1 of a ModelProto is a piece, whose field 1 is the text); undefined without the file.
 * @see https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
 * @throws OnnxLoraError `CONFIG_INVALID` for an invalid file
 */
export async function readSentencePieces(file: string): Promise<readonly string[] | undefined> {
  let bytes: Uint8Array;
  try {
    const { size } = await stat(file);
    if (size > MOST_BYTES) throw broken(file, `it has ${size} bytes`);
    bytes = await readFile(file);
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw broken(file, (cause as Error).message);
  }
  const pieces = fieldsOf(bytes, 1, file).map((piece) => fieldsOf(piece, 1, file)[0]);
  const decoder = new TextDecoder('utf-8', { fatal: true });
  try {
    return pieces.map((piece) => decoder.decode(piece));
  } catch {
    throw broken(file, 'a piece is no text');
  }
}

/** Byte contents of one field of a protobuf message. */
function fieldsOf(message: Uint8Array, wanted: number, file: string): Uint8Array[] {
  const found: Uint8Array[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 64; shift += 7) {
      const byte = message[at++];
      if (byte === undefined) throw broken(file, 'it ends too early');
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    throw broken(file, 'a number is too long');
  };
  while (at < message.length) {
    const key = varint();
    const kind = key % 8;
    if (kind === 0) {
      varint();
      continue;
    }
    const length = kind === 2 ? varint() : kind === 1 ? 8 : kind === 5 ? 4 : NaN;
    if (!(at + length <= message.length)) throw broken(file, 'it ends too early, or is of another kind');
    if (kind === 2 && Math.floor(key / 8) === wanted) found.push(message.subarray(at, at + length));
    at += length;
  }
  return found;
}

function broken(file: string, why: string): OnnxLoraError {
  return new OnnxLoraError(
    'CONFIG_INVALID',
    `"${file}" cannot be read as a SentencePiece model: ${why}. Copy it again from where the model was published.`,
  );
}

/** Roles of special tokens in transformers. */
const parts = ['pad', 'unk', 'mask', 'cls', 'sep', 'bos', 'eos'] as const;

/** Special tokens by role; null if the files say that the model lacks one, absent if they say nothing. */
export type SpecialTokens = Readonly<Partial<Record<(typeof parts)[number], string | null>>>;

/** Default tokens by role. */
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

interface SpecialIds {
  readonly ids: {
    readonly padId: number;
    readonly unknownId: number | undefined;
    readonly maskId: number | undefined;
  };
  /** Special tokens before and after a sequence. */
  readonly around: { readonly begin: readonly number[]; readonly end: readonly number[] };
}

/**
 * Special ids by the names in the files, or else the usual ones; `pad` is the padding id of config.json, a fallback.
 * @throws OnnxLoraError `CONFIG_INVALID` without a padding token
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
  // Generative models often lack a padding token; the end token pads, as in transformers.
  const padId = id('pad') ?? pad ?? (tokens.eos ? id('eos') : undefined);
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
