/** @file Bytes as text: UTF-8, or the encoding of a byte order mark. A byte that is no text is an error with its line. */

import { type ErrorCode, OnnxLoraError } from '../errors.ts';

/** Byte order marks, and the encodings that they stand for. */
const marks = [
  { encoding: 'utf-8', mark: [0xef, 0xbb, 0xbf] },
  { encoding: 'utf-16le', mark: [0xff, 0xfe] },
  { encoding: 'utf-16be', mark: [0xfe, 0xff] },
] as const;
const LONGEST_MARK = 3;
/** Bytes of a character in UTF-8, at most. */
const LONGEST_CHARACTER = 4;
/** Bytes before and after a wrong byte that an error shows. */
const AROUND = 24;
const SAVE = 'save it as UTF-8 (in Excel "CSV UTF-8"), or convert it: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW.';
/** What bytes that are not UTF-8 most often are. It gives every byte a character, so that it can only be guessed. */
const windows = new TextDecoder('windows-1252');
const [LF, CR] = [0x0a, 0x0d];

type Encoding = (typeof marks)[number]['encoding'];

/** The encoding by the byte order mark at the beginning; UTF-8 without one. */
function encodingOf(head: Uint8Array): Encoding {
  return marks.find(({ mark }) => mark.every((byte, i) => head[i] === byte))?.encoding ?? 'utf-8';
}

/** Whether bytes begin with the byte order mark of UTF-16. Half of the bytes of such a text may be zeros. */
export function isUtf16(head: Uint8Array): boolean {
  return encodingOf(head) !== 'utf-8';
}

/** The beginning of a text, to find out what it is. Bytes that are no text are U+FFFD. */
export function textOfHead(head: Uint8Array): string {
  return new TextDecoder(encodingOf(head)).decode(head);
}

/**
 * All bytes of a text, decoded without its byte order mark.
 *
 * @param name the name of the text in messages
 * @throws OnnxLoraError `code`, with the line, for bytes that are no text
 */
export function decodeText(bytes: Uint8Array, name: string, code: ErrorCode = 'DATA_INVALID'): string {
  const decoder = new StrictDecoder(name, code);
  return decoder.push(bytes) + decoder.end();
}

/** A wrong byte, and the word that it is in Windows-1252. */
function shownByte(byte: number, word: string): string {
  const hex = byte.toString(16).padStart(2, '0').toUpperCase();
  return `the byte 0x${hex}, which is "${word}" in Windows-1252, the encoding of Excel's "CSV"`;
}

/** Decodes a text that comes in pieces. */
export class StrictDecoder {
  readonly #name: string;
  readonly #code: ErrorCode;
  #encoding: Encoding = 'utf-8';
  #decoder: InstanceType<typeof TextDecoder> | undefined;
  /** The first bytes, until they are enough for a byte order mark. */
  #held: Uint8Array = new Uint8Array(0);
  /** Lines that ended so far. */
  #lines = 0;
  #endsInReturn = false;
  /** The bytes of the last character that was not whole, or of one that was. */
  #tail: Uint8Array = new Uint8Array(0);
  /** Bytes that were decoded so far. */
  #size = 0;

  /**
   * @param name the name of the text in messages
   * @param code the code of errors
   */
  constructor(name: string, code: ErrorCode = 'DATA_INVALID') {
    this.#name = name;
    this.#code = code;
  }

  /**
   * The text of the next bytes, up to the last character that is whole.
   *
   * @throws OnnxLoraError with the line, for bytes that are no text
   */
  push(bytes: Uint8Array): string {
    if (this.#decoder) return this.#decoded(bytes, this.#decoder);
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    return this.#held.length < LONGEST_MARK ? '' : this.#begun();
  }

  /**
   * The rest of the text.
   *
   * @throws OnnxLoraError with the line, for a text that ends within a character
   */
  end(): string {
    const first = this.#decoder ? '' : this.#begun();
    try {
      return first + this.#decoder!.decode();
    } catch (cause) {
      const number = this.#lines + 1 + Number(this.#endsInReturn);
      if (this.#encoding !== 'utf-8')
        throw this.#refused(number, 'ends within a character', 'It was cut off: copy it again.', cause);
      const [byte] = this.#tail;
      throw this.#refused(number, `ends with ${shownByte(byte!, windows.decode(this.#tail))}`, `Copy it again if it was cut off. Else ${SAVE}`, cause); // prettier-ignore
    }
  }

  #begun(): string {
    this.#encoding = encodingOf(this.#held);
    this.#decoder = new TextDecoder(this.#encoding, { fatal: true });
    return this.#decoded(this.#held, this.#decoder);
  }

  #decoded(bytes: Uint8Array, decoder: InstanceType<typeof TextDecoder>): string {
    let text: string;
    try {
      text = decoder.decode(bytes, { stream: true });
    } catch (cause) {
      throw this.#wrongByte(bytes, cause);
    }
    this.#lines += this.#linesIn(text);
    this.#size += bytes.length;
    this.#tail = this.#tailOf(bytes);
    return text;
  }

  /** The bytes at the end of a piece that may begin a character. */
  #tailOf(bytes: Uint8Array): Uint8Array {
    if (this.#encoding !== 'utf-8') return bytes.slice(bytes.length - (this.#size % 2));
    const end = Buffer.concat([this.#tail, bytes.subarray(-LONGEST_CHARACTER)]);
    const last = end.findLastIndex((byte) => (byte & 0xc0) !== 0x80);
    // ASCII is whole.
    return end[last]! >= 0x80 ? end.subarray(last) : new Uint8Array(0);
  }

  /** How many lines the next text ends, with LF, CR LF or CR. A CR LF may be divided between two pieces. */
  #linesIn(text: string): number {
    if (text === '') return 0;
    let lines = Number(this.#endsInReturn && !text.startsWith('\n'));
    this.#endsInReturn = text.endsWith('\r');
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === LF || (code === CR && i + 1 < text.length && text.charCodeAt(i + 1) !== LF)) lines++;
    }
    return lines;
  }

  /** Finds the line of the first wrong byte by decoding line by line; a decoder does not say where it failed. */
  #wrongByte(piece: Uint8Array, cause: unknown): OnnxLoraError {
    const isUtf8 = this.#encoding === 'utf-8';
    const bytes = Buffer.concat([this.#tail, piece]);
    const decoder = new TextDecoder(this.#encoding, { fatal: true });
    let at = 0;
    let right = '';
    for (let end = 0; at < bytes.length; at = end) {
      end = bytes.indexOf(LF, at) + 1 || bytes.length;
      try {
        right += decoder.decode(bytes.subarray(at, end), { stream: true });
      } catch {
        break;
      }
    }
    const before = new TextDecoder(this.#encoding, { ignoreBOM: true }).decode(bytes.subarray(at)).split('\uFFFD', 1)[0]!; // prettier-ignore
    // Where all lines are right by themselves, half a surrogate pair that the piece before ended with is wrong.
    const lines = this.#lines + (at < bytes.length ? this.#linesIn(right + before) : 0);
    const number = lines + 1 + Number(this.#endsInReturn);
    if (!isUtf8)
      return this.#refused(number, 'is UTF-16 with half a character', 'It is damaged: copy it again.', cause);
    const wrong = Math.min(at + Buffer.byteLength(before), bytes.length - 1);
    const word =
      /[\p{L}\p{N}]*$/u.exec(windows.decode(bytes.subarray(Math.max(at, wrong - AROUND), wrong)))![0] +
      /^.[\p{L}\p{N}]*/su.exec(windows.decode(bytes.subarray(wrong, wrong + AROUND)))![0];
    return this.#refused(number, `is not UTF-8: it has ${shownByte(bytes[wrong]!, word)}`, `S${SAVE.slice(1)}`, cause);
  }

  #refused(line: number, problem: string, remedy: string, cause: unknown): OnnxLoraError {
    return new OnnxLoraError(this.#code, `${this.#name}, line ${line}: the text ${problem}. ${remedy}`, { cause });
  }
}
