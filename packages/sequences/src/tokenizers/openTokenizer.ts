/** @file Detects and opens the tokenizer of a model's folder. */

import { join } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { type JsonObject, parseMerges, readTokenizerFile, readTokenLines } from '@onnx-lora/sdk/data';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { EsmTokenizer } from './esmTokenizer.ts';
import {
  plainFrame,
  type SequenceTokenizer,
  type SequenceTokens,
  type Vocabulary,
  VocabularyTokenizer,
} from './sequenceTokenizer.ts';
import {
  readSentencePieces,
  readSpecialTokens,
  robertaJson,
  specialIds,
  type SpecialTokens,
  wordPieceJson,
} from './vocabularyFiles.ts';
import { JsonTokenizer, type OpenedJson, openJson, type TokenizerFacts } from './jsonTokenizer.ts';
import { LetterTokenizer } from './letterTokenizer.ts';

/**
 * Atoms with or without brackets, bonds, branches and rings. The length in brackets is bounded, since unclosed brackets
 * would otherwise take quadratic time; atoms have at most a few dozen characters.
 * @see Schwaller et al., "Molecular Transformer" (2019), https://doi.org/10.1021/acscentsci.9b00576
 */
const smilesPart: RegExp = /\[[^\]]{1,99}\]|Br|Cl|[BCNOSPFIbcnosp]|[().=#+\\/:~@?*$-]|>>?|%\d\d|\d/g;

/** Regex tokenizer of SMILES, like MoLFormer's and DeepChem's SmilesTokenizer; other characters are unknown. */
class SmilesTokenizer extends VocabularyTokenizer {
  readonly isPerLetter = false;

  tokens(text: string): SequenceTokens {
    const [ids, starts, ends]: [number[], number[], number[]] = [[], [], []];
    const put = (start: number, end: number): void => {
      ids.push(this.idOrUnknown(text.slice(start, end)));
      starts.push(start);
      ends.push(end);
    };
    let at = 0;
    const between = (end: number): void => {
      const rest = text.slice(at, end);
      if (rest.trim() !== '') put(at + rest.search(/\S/), at + rest.trimEnd().length);
    };
    for (const found of text.matchAll(smilesPart)) {
      between(found.index);
      at = found.index + found[0].length;
      put(found.index, at);
    }
    between(text.length);
    return { ids, starts, ends };
  }
}

type VocabularyKind =
  | { readonly kind: 'letters'; readonly prefix: string }
  | { readonly kind: 'kmers'; readonly k: number }
  | { readonly kind: 'smiles' }
  | { readonly kind: 'words' };

/** Special by form: `[PAD]`, `<s>`, `[unused12]`. */
const isSpecial = (token: string): boolean => /^(?:<.+>|\[(?:PAD|UNK|CLS|SEP|MASK|unused\d+)\])$/.test(token);

/** Classifies a vocabulary by its ordinary tokens. */
function vocabularyKind(tokens: readonly (string | undefined)[]): VocabularyKind {
  const ordinary = tokens.filter((token) => token !== undefined && token !== '▁' && !isSpecial(token)) as string[];
  const k = ordinary[0]?.length ?? 0;
  if (k > 1 && ordinary.every((token) => token.length === k && /^[ACGTU]+$/.test(token))) return { kind: 'kmers', k };
  const prefix = ordinary.length > 0 && ordinary.every((token) => token.startsWith('▁')) ? '▁' : '';
  if (ordinary.length > 0 && ordinary.every((token) => [...token].length === prefix.length + 1)) {
    return { kind: 'letters', prefix };
  }
  const parts = ordinary.filter((token) => token.match(smilesPart)?.[0] === token).length;
  const isSmiles = ['C', 'c', '(', '=', '1'].every((token) => ordinary.includes(token));
  return isSmiles && parts >= 0.9 * ordinary.length ? { kind: 'smiles' } : { kind: 'words' };
}

/**
 * Overlapping k-mers as in DNABERT. Unknown are letters other than A, C, G and T, and sequences shorter than k.
 * @see Ji et al., "DNABERT" (2021), https://doi.org/10.1093/bioinformatics/btab083
 */
class KmerTokenizer extends VocabularyTokenizer {
  readonly isPerLetter = false;
  readonly #k: number;

  constructor(vocabulary: Vocabulary, k: number) {
    super(vocabulary);
    this.#k = k;
  }

  /** Token i covers letters i to i + k, without blanks. */
  tokens(text: string): SequenceTokens {
    const [ids, starts, ends]: [number[], number[], number[]] = [[], [], []];
    const places = Array.from({ length: text.length }, (_, i) => i).filter((i) => !/\s/.test(text[i]!));
    const bases = places.map((i) => text[i]!).join('');
    const last = Math.max(bases.length - this.#k, bases.length > 0 ? 0 : -1);
    for (let from = 0; from <= last; from++) {
      const kmer = bases.slice(from, from + this.#k);
      ids.push(this.idOrUnknown(kmer));
      starts.push(places[from]!);
      ends.push(places[from + kmer.length - 1]! + 1);
    }
    return { ids, starts, ends };
  }
}

/**
 * Opens the tokenizer in a model's folder: `vocab.txt` of ESM and Nucleotide Transformer; `tokenizer.json`; BERT's
 * `vocab.txt`, also of residues (ProtBERT), k-mers (DNABERT) or SMILES; `vocab.json` with or without `merges.txt`
 * (ChemBERTa, MoLFormer); `spiece.model` of residues (ProtT5).
 * @throws OnnxLoraError `FILE_NOT_FOUND` without such files; `CONFIG_INVALID` for unreadable ones or too many tokens
 */
export async function openTokenizer(model: TaskModel): Promise<SequenceTokenizer> {
  const { folder } = model;
  if (folder === undefined) {
    throw new OnnxLoraError(
      'FILE_NOT_FOUND',
      `"${model.name}" is a file alone, but its tokenizer is needed. Open the folder that holds both.`,
    );
  }
  const tokenizer = await find(model, folder);
  const size = model.config?.['vocab_size'];
  if (typeof size === 'number' && tokenizer.size > size) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The tokenizer in "${folder}" has ${tokenizer.size} tokens, but config.json says the model knows ${size}. Use the files that came with the model.`,
    );
  }
  return tokenizer;
}

async function find(model: TaskModel, folder: string): Promise<SequenceTokenizer> {
  const read = (name: string): Promise<JsonObject | undefined> => readTokenizerFile(folder, name);
  const config = (await read('tokenizer_config.json')) ?? {};
  const special = readSpecialTokens(config, (await read('special_tokens_map.json')) ?? {});
  const facts = (name: string): TokenizerFacts => ({
    special,
    config,
    padId: whole(model.config?.['pad_token_id'], Infinity),
    maxLength: whole(config['model_max_length'], 1e7),
    path: join(folder, name),
  });
  const lines = await readTokenLines(join(folder, 'vocab.txt'));
  if (lines && isEsm(lines, config)) return esm(lines, special, facts('vocab.txt'));
  const json = await read('tokenizer.json');
  if (json) return fromJson(openJson(json, facts('tokenizer.json')));
  if (lines) return fromLines(lines, facts('vocab.txt'));
  const vocabulary = await read('vocab.json');
  if (vocabulary) {
    const merges = await readTokenLines(join(folder, 'merges.txt'));
    if (!merges) return smiles(vocabulary, facts('vocab.json'));
    return fromJson(openJson(robertaJson(vocabulary, parseMerges(merges), config), facts('vocab.json')));
  }
  const pieces = await readSentencePieces(join(folder, 'spiece.model'));
  if (pieces) return fromPieces(pieces, facts('spiece.model'));
  throw new OnnxLoraError(
    'FILE_NOT_FOUND',
    `There is neither tokenizer.json nor vocab.txt nor vocab.json in "${folder}", so nothing says how sequences become tokens. Copy the files whose names begin so, tokenizer_config.json with them, from where the model was published.`,
  );
}

function isEsm(lines: readonly string[], config: JsonObject): boolean {
  return (
    config['tokenizer_class'] === 'EsmTokenizer' || ['<cls>', '<pad>', '<unk>'].every((token) => lines.includes(token))
  );
}

function esm(lines: readonly string[], special: SpecialTokens, { maxLength, path }: TokenizerFacts): EsmTokenizer {
  const tokens = lines.map((line) => line.trim());
  const eos = special.eos === undefined ? (tokens.includes('<eos>') ? '<eos>' : null) : special.eos;
  return new EsmTokenizer(tokens, path, { eos, maxLength });
}

function fromJson(opened: OpenedJson): SequenceTokenizer {
  const { tokens } = opened.vocabulary;
  const kind = vocabularyKind(tokens);
  if (kind.kind === 'kmers') return new KmerTokenizer(opened.vocabulary, kind.k);
  if (kind.kind !== 'letters') return new JsonTokenizer(opened, false);
  const together = new JsonTokenizer(opened, true);
  // Tries whether letters must be separated.
  const letters = tokens.flatMap((token) => (token && /^▁?[A-Z]$/i.test(token) ? [token] : [])).slice(-2);
  const isRead = (between: string): boolean =>
    together.tokens(letters.map((letter) => letter.slice(-1)).join(between)).ids.join() ===
    letters.map((letter) => together.idOf(letter)).join();
  return !isRead('') && isRead(' ') ? new LetterTokenizer(opened.vocabulary, { prefix: kind.prefix }) : together;
}

function fromLines(lines: readonly string[], facts: TokenizerFacts): SequenceTokenizer {
  const kind = vocabularyKind(lines);
  if (kind.kind === 'words') return fromJson(openJson(wordPieceJson(lines, facts.config), facts));
  const vocabulary = plainVocabulary(lines, facts);
  if (kind.kind === 'kmers') return new KmerTokenizer(vocabulary, kind.k);
  if (kind.kind === 'smiles') return new SmilesTokenizer(vocabulary);
  return new LetterTokenizer(vocabulary, { isLowerCase: facts.config['do_lower_case'] === true });
}

function fromPieces(pieces: readonly string[], facts: TokenizerFacts): LetterTokenizer {
  const kind = vocabularyKind(pieces);
  if (kind.kind === 'letters') return new LetterTokenizer(plainVocabulary(pieces, facts), { prefix: kind.prefix });
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${facts.path}" has pieces of more than one letter, and such are read from tokenizer.json. Make it with transformers in Python: AutoTokenizer.from_pretrained(…).save_pretrained(…).`,
  );
}

function smiles(vocabulary: JsonObject, facts: TokenizerFacts): SmilesTokenizer {
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(vocabulary)) {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > 1e6) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${facts.path}" gives the token "${token}" no id. Copy it again from where the model was published.`,
      );
    }
    tokens[id] = token;
  }
  if (vocabularyKind(Array.from(tokens)).kind === 'smiles')
    return new SmilesTokenizer(plainVocabulary(Array.from(tokens), facts));
  throw new OnnxLoraError(
    'FILE_NOT_FOUND',
    `"${facts.path}" has tokens, but nothing says how texts are cut into them: there is no merges.txt beside it. Copy it from where the model was published.`,
  );
}

function plainVocabulary(tokens: readonly (string | undefined)[], facts: TokenizerFacts): Vocabulary {
  const known = new Map(tokens.map((token, id) => [token, id]));
  const { ids, around } = specialIds((token) => known.get(token), facts.special, facts.padId, facts.path);
  return { tokens, ...ids, specialIds: [], frame: plainFrame(around), maxLength: facts.maxLength, path: facts.path };
}

/** A whole number up to `most`; transformers writes 1e30 for no limit. */
function whole(value: unknown, most: number): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most ? value : undefined;
}
