/** @file Parses forms (`multipart/form-data`, RFC 7578) in memory; parts are views. */

import { HttpError } from '../errors.ts';

export interface Part {
  readonly name: string;
  readonly filename: string | undefined;
  /** Content type in lower case, or empty. */
  readonly type: string;
  readonly bytes: Buffer;
}

const MOST_PARTS = 300;
/** Maximum bytes of a part's headers. */
const MOST_HEADER = 8192;
const LINE = Buffer.from('\r\n');
const HEADER_END = Buffer.from('\r\n\r\n');

/** Parses a form. @throws HttpError 400 for an invalid form, or too many parts */
export function partsOf(body: Buffer, contentType: string): Part[] {
  const boundary = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType);
  if (!boundary) throw invalid('its content type has no boundary');
  const delimiter = Buffer.from(`\r\n--${boundary[1] ?? boundary[2]!}`);
  const parts: Part[] = [];
  // The first delimiter may be at the start.
  let at = body.indexOf(delimiter.subarray(LINE.length));
  if (at !== 0 && !body.subarray(at - LINE.length, at).equals(LINE))
    throw invalid('it does not begin with its boundary');
  at += delimiter.length - LINE.length;
  while (!body.subarray(at, at + 2).equals(Buffer.from('--'))) {
    const head = body.indexOf(LINE, at);
    const start = head === -1 ? -1 : body.indexOf(HEADER_END, head);
    const end = start === -1 ? -1 : body.indexOf(delimiter, start + LINE.length);
    if (end === -1) throw invalid('it ends within a part');
    if (start - head > MOST_HEADER) throw invalid('the headers of a part are too long');
    if (parts.length === MOST_PARTS) throw invalid(`it has more than ${MOST_PARTS} parts`);
    parts.push(part(body.toString('utf8', head, start), body.subarray(Math.min(start + HEADER_END.length, end), end)));
    at = end + delimiter.length;
  }
  return parts;
}

function part(headers: string, bytes: Buffer): Part {
  const header = (name: string): string => new RegExp(`^${name}:[ \\t]*(.*)$`, 'im').exec(headers)?.[1]!.trim() ?? '';
  const disposition = header('content-disposition');
  const parameter = (name: string): string | undefined =>
    new RegExp(`;\\s*${name}="([^"]*)"`, 'i').exec(disposition)?.[1];
  const name = parameter('name');
  if (name === undefined) throw invalid('a part has no name');
  return {
    name,
    filename: parameter('filename'),
    type: header('content-type').split(';')[0]!.trim().toLowerCase(),
    bytes,
  };
}

function invalid(why: string): HttpError {
  return new HttpError(400, 'INPUT_INVALID', `The form cannot be read: ${why}. Send it as curl -F does.`);
}
