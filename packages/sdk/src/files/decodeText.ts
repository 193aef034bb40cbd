/** @file Decodes text strictly: UTF-8, or the encoding of a byte order mark. Errors name the line. */

import { concatBytes, utf8 } from '../platform/bytes.ts';
import { type ErrorCode, OnnxLoraError } from '../errors.ts';

const marks = [
  { encoding: 'utf-8', mark: [0xef, 0xbb, 0xbf] },
  { encoding: 'utf-16le', mark: [0xff, 0xfe] },
  { encoding: 'utf-16be', mark: [0xfe, 0xff] },
] as const;
const LONGEST_MARK = 3;
const LONGEST_CHARACTER = 4;
/** Bytes around a wrong byte to show in an error. */
const AROUND = 24;
const SAVE = 'save it as UTF-8 (in Excel "CSV UTF-8"), or convert it: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW.';
/** The likely encoding of bytes that are not UTF-8. It has a character for every byte, so that it is a guess. */
const windows = new TextDecoder('windows-1252');
const [LF, CR] = [0x0a, 0x0d];

type Encoding = (typeof marks)[number]['encoding'];

function encodingOf(head: Uint8Array): Encoding {
  return marks.find(({ mark }) => mark.every((byte, i) => head[i] === byte))?.encoding ?? 'utf-8';
}

/** Whether bytes start with UTF-16's byte order mark; such a text may contain zeros. */
export function isUtf16(head: Uint8Array): boolean {
  return encodingOf(head) !== 'utf-8';
}

/** Decodes the start of a text leniently, to detect its format; invalid bytes become U+FFFD. */
export function decodePreview(head: Uint8Array): string {
  return new TextDecoder(encodingOf(head)).decode(head);
}

/** Decodes a whole text without its byte order mark. @throws OnnxLoraError `code`, with the line, for other bytes */
export function decodeText(bytes: Uint8Array, name: string, code: ErrorCode = 'DATA_INVALID'): string {
  const decoder = new StrictDecoder(name, code);
  return decoder.push(bytes) + decoder.end();
}

function shownByte(byte: number, word: string): string {
  const hex = byte.toString(16).padStart(2, '0').toUpperCase();
  return `the byte 0x${hex}, which is "${word}" in Windows-1252, the encoding of Excel's "CSV"`;
}

/** Decodes a text in pieces. */
export class StrictDecoder {
  readonly #name: string;
  readonly #code: ErrorCode;
  #encoding: Encoding = 'utf-8';
  #decoder: InstanceType<typeof TextDecoder> | undefined;
  /** The first bytes, until there are enough for a byte order mark. */
  #held: Uint8Array = new Uint8Array(0);
  #lines = 0;
  #endsInReturn = false;
  /** Bytes of the last character, if it may be incomplete. */
  #tail: Uint8Array = new Uint8Array(0);
  #size = 0;

  /** `name` names the text in messages; `code` is the code of errors. */
  constructor(name: string, code: ErrorCode = 'DATA_INVALID') {
    this.#name = name;
    this.#code = code;
  }

  /** Decodes bytes up to the last complete character. @throws OnnxLoraError with the line, for other bytes */
  push(bytes: Uint8Array): string {
    if (this.#decoder) return this.#decoded(bytes, this.#decoder);
    this.#held = this.#held.length === 0 ? bytes : concatBytes([this.#held, bytes]);
    return this.#held.length < LONGEST_MARK ? '' : this.#begun();
  }

  /** Decodes the rest. @throws OnnxLoraError with the line, for a text that ends within a character */
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

  /** Trailing bytes of a piece that may start a character. */
  #tailOf(bytes: Uint8Array): Uint8Array {
    if (this.#encoding !== 'utf-8') return bytes.slice(bytes.length - (this.#size % 2));
    const end = concatBytes([this.#tail, bytes.subarray(-LONGEST_CHARACTER)]);
    const last = end.findLastIndex((byte) => (byte & 0xc0) !== 0x80);
    return end[last]! >= 0x80 ? end.subarray(last) : new Uint8Array(0);
  }

  /** Counts the line ends in a text: LF, CR LF or CR. A CR LF may be split between two pieces. */
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

  /** Finds the line of the first wrong byte by decoding line by line, since a decoder does not report its position. */
  #wrongByte(piece: Uint8Array, cause: unknown): OnnxLoraError {
    const isUtf8 = this.#encoding === 'utf-8';
    const bytes = concatBytes([this.#tail, piece]);
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
    // If each line is valid, the error is half a surrogate pair at the end of the previous piece.
    const lines = this.#lines + (at < bytes.length ? this.#linesIn(right + before) : 0);
    const number = lines + 1 + Number(this.#endsInReturn);
    if (!isUtf8)
      return this.#refused(number, 'is UTF-16 with half a character', 'It is damaged: copy it again.', cause);
    const wrong = Math.min(at + utf8(before).length, bytes.length - 1);
    const word =
      /[\p{L}\p{N}]*$/u.exec(windows.decode(bytes.subarray(Math.max(at, wrong - AROUND), wrong)))![0] +
      /^.[\p{L}\p{N}]*/su.exec(windows.decode(bytes.subarray(wrong, wrong + AROUND)))![0];
    return this.#refused(number, `is not UTF-8: it has ${shownByte(bytes[wrong]!, word)}`, `S${SAVE.slice(1)}`, cause);
  }

  #refused(line: number, problem: string, remedy: string, cause: unknown): OnnxLoraError {
    return new OnnxLoraError(this.#code, `${this.#name}, line ${line}: the text ${problem}. ${remedy}`, { cause });
  }
}
