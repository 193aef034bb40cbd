/** @file Pascal VOC's layout: an XML file of boxes for each image. */

import { existsSync, path } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { fileInside, type FolderEntries, locatedLines, readFolder, type Split, stemOf } from '@onnx-lora/sdk/data';
import { isImage } from '../image/imageFile.ts';
import type { Box, ImageObject, ImageRecord } from './imageRecord.ts';
import { childrenOf, xmlElement, type XmlElement } from './xml.ts';

/** Bytes of an XML file, which has some hundred for each object. */
const MOST_XML = 16 << 20;

const parts: readonly (readonly [name: string, split: Split])[] = [
  ['train', 'train'],
  ['trainval', 'train'],
  ['val', 'validation'],
  ['test', 'test'],
];

/**
 * Records of a folder with `Annotations` and `JPEGImages` (or `images`), or with XML files beside images; undefined for
 * another. Lists in `ImageSets/Main` (or beside) name the parts.
 * @throws OnnxLoraError `DATA_INVALID`, naming the file and the object
 */
export async function vocFolder(root: string, { files, folders }: FolderEntries): Promise<ImageRecord[] | undefined> {
  const folder = folders.find((name) => /^annotations$/i.test(name));
  const images = folders.find((name) => /^(JPEGImages|images)$/i.test(name));
  if (folder !== undefined && images !== undefined) {
    const there = (await readFolder(path.join(root, folder))).files.filter(isXml);
    if (there.length === 0) return undefined;
    const [from, to] = [path.join(root, folder), path.join(root, images)];
    const inside = await imagesByStem(to);
    const records = await Promise.all(there.map((name) => recordOf(path.join(from, name), to, inside)));
    return withParts(records, root);
  }
  const own = files.filter(isXml);
  if (own.length === 0 || !files.some(isImage)) return undefined;
  const inside = await imagesByStem(root);
  return Promise.all(own.map((name) => recordOf(path.join(root, name), root, inside)));
}

function isXml(name: string): boolean {
  return /\.xml$/i.test(name);
}

async function imagesByStem(folder: string): Promise<ReadonlyMap<string, string>> {
  return new Map((await readFolder(folder)).files.filter(isImage).map((name) => [stemOf(name), name]));
}

/** Marks records with the part whose list names them; the first list wins. */
async function withParts(records: readonly ImageRecord[], root: string): Promise<ImageRecord[]> {
  const lists = path.join(root, 'ImageSets', 'Main');
  const found = new Map<string, Split>();
  for (const [name, split] of parts) {
    const list = path.join(lists, `${name}.txt`);
    if (!existsSync(list)) continue;
    for (const { text } of await locatedLines(list)) {
      const stem = text.trim().split(/\s+/)[0]!;
      // `trainval` repeats `val`.
      if (!found.has(stem)) found.set(stem, split);
      else if (split === 'validation') found.set(stem, split);
    }
  }
  return records.map((record) => {
    const split = found.get(stemOf(path.basename(record.place)));
    return split === undefined ? record : { ...record, split };
  });
}

async function recordOf(file: string, folder: string, inside: ReadonlyMap<string, string>): Promise<ImageRecord> {
  const root = await elementOf(file);
  const named = textOf(root, 'filename');
  const name = inside.get(stemOf(path.basename(file))) ?? (named === undefined ? undefined : inside.get(stemOf(named)));
  if (name === undefined)
    throw new OnnxLoraError('DATA_INVALID', `${file}: there is no image "${named ?? stemOf(file)}" in "${folder}". Put it there, or remove the file.`); // prettier-ignore
  const source = child(root, 'source');
  // The challenge counts pixels from 1, and its boxes include the last; tools that write the format do not.
  const isPascals = /pascal|voc\d{4}/i.test(`${(source && textOf(source, 'database')) ?? ''} ${(source && textOf(source, 'annotation')) ?? ''}`); // prettier-ignore
  const objects = childrenOf(root, 'object').map((each, i) => objectOf(each, `${file}, object ${i + 1}`, isPascals));
  return { file: fileInside(folder, name, file, 'imageFolder'), place: file, objects };
}

async function elementOf(file: string): Promise<XmlElement> {
  const root = await xmlElement(file, MOST_XML);
  if (root.name === 'annotation') return root;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${file}" has no <annotation>, so it is no file of Pascal VOC. Take it out.`,
  );
}

function objectOf(element: XmlElement, place: string, isPascals: boolean): ImageObject {
  const category = textOf(element, 'name');
  if (!category) throw new OnnxLoraError('DATA_INVALID', `${place}: it has no <name>. Name its class.`);
  const box = child(element, 'bndbox');
  const numbers = ['xmin', 'ymin', 'xmax', 'ymax'].map((name) => Number((box && textOf(box, name)) ?? NaN));
  if (!numbers.every(Number.isFinite)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${place}: its <bndbox> must have <xmin>, <ymin>, <xmax> and <ymax> as numbers. Correct it.`,
    );
  }
  const [x0, y0, x1, y1] = numbers as [number, number, number, number];
  const first = isPascals ? 1 : 0;
  const found: Box = [x0 - first, y0 - first, x1, y1];
  return { category, ...(found[2] > found[0] && found[3] > found[1] ? { box: found } : {}) };
}

function child(element: XmlElement, name: string): XmlElement | undefined {
  return childrenOf(element, name)[0];
}

function textOf(element: XmlElement, name: string): string | undefined {
  const found = child(element, name)?.text.trim();
  return found === '' ? undefined : found;
}
