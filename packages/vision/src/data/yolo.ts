/** @file YOLO's layout: a data.yaml, folders of images, and a text file of boxes for each image. */

import { existsSync, path, statSync } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { type FolderEntries, locatedLines, readFolder, readText, type Split } from '@onnx-lora/sdk/data';
import { imageSizeOf } from '../image/codec.ts';
import { isImage } from '../image/imageFile.ts';
import type { Size } from '../preprocess/imagePlan.ts';
import type { ImageObject, ImageRecord } from './imageRecord.ts';

/** Bytes of a data.yaml, which names some classes and folders. */
const MOST_YAML = 4 << 20;
/** Images whose headers are read at once. */
const AT_ONCE = 16;

const splitKeys: readonly (readonly [key: string, split: Split])[] = [
  ['train', 'train'],
  ['val', 'validation'],
  ['test', 'test'],
];

/**
 * Records of a folder with a `data.yaml`; undefined without one. Images without a text file have no objects.
 * @throws OnnxLoraError `DATA_INVALID`, naming the file and the line
 */
export async function yoloFolder(root: string, { files }: FolderEntries): Promise<ImageRecord[] | undefined> {
  const name = files.find((each) => /^(data|dataset)\.ya?ml$/i.test(each));
  if (name === undefined) return undefined;
  const file = path.join(root, name);
  const { names, folders } = await readDataFile(file, root);
  const records: ImageRecord[] = [];
  for (const [places, split] of folders)
    for (const place of places)
      records.push(...(await recordsAt(place, root, names)).map((each) => ({ ...each, split })));
  if (records.length > 0) return records;
  throw new OnnxLoraError('DATA_INVALID', `"${file}" names no folder with images. Correct its "train".`);
}

interface DataFile {
  readonly names: readonly string[];
  /** Folders or lists of images by split. */
  readonly folders: readonly (readonly [places: readonly string[], split: Split])[];
}

async function readDataFile(file: string, root: string): Promise<DataFile> {
  const wrong = (problem: string): OnnxLoraError => new OnnxLoraError('DATA_INVALID', `"${file}": ${problem}.`);
  const { parse } = await import('yaml');
  let content: unknown;
  try {
    content = parse(await readText(file, MOST_YAML), { maxAliasCount: 100 });
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    throw wrong(`it is not valid YAML: ${(cause as Error).message.split('\n')[0]!.replace(/:$/, '')}`);
  }
  const fields = (typeof content === 'object' && content !== null ? content : {}) as Record<string, unknown>;
  const given = fields['names'];
  const entries = typeof given === 'object' && given !== null ? Object.entries(given) : [];
  const names = Array.from({ length: entries.length }, (_, i) => entries.find(([key]) => key === String(i))?.[1]);
  if (names.length === 0 || !names.every((each) => typeof each === 'string' || typeof each === 'number'))
    throw wrong('"names" must list the classes, numbered from 0: names: [cat, dog]');
  const base = typeof fields['path'] === 'string' ? fields['path'] : '.';
  const folders = splitKeys.flatMap(([key, split]): [string[], Split][] => {
    const value = fields[key];
    if (value === undefined || value === null) return [];
    const list = Array.isArray(value) ? value : [value];
    if (!list.every((each) => typeof each === 'string')) throw wrong(`"${key}" must name a folder of images`);
    const places = list.map((each) => {
      const found = placeOf(root, base, each);
      if (found !== undefined) return found;
      // Exports often name parts that were not exported.
      if (key !== 'train') return '';
      throw wrong(`its "${key}" is "${each}", which is not in "${root}". Correct the path`);
    });
    return [[places.filter(Boolean), split]];
  });
  if (!folders.some(([, split]) => split === 'train')) throw wrong('"train" must name a folder of images');
  return { names: names.map(String), folders };
}

/** The folder or list, inside of the data's folder; exports often name it from the folder beside, or from elsewhere. */
function placeOf(root: string, base: string, name: string): string | undefined {
  const whole = path.resolve(root);
  const candidates = [path.resolve(whole, base, name), path.resolve(whole, name), path.resolve(whole, name.replace(/^(\.\.\/)+/, ''))]; // prettier-ignore
  return candidates.find((each) => (each === whole || each.startsWith(whole + path.sep)) && existsSync(each));
}

async function recordsAt(place: string, root: string, names: readonly string[]): Promise<ImageRecord[]> {
  const files = statSync(place).isDirectory() ? await imagesUnder(place) : await listedImages(place, root);
  const records: ImageRecord[] = [];
  for (let from = 0; from < files.length; from += AT_ONCE)
    records.push(...(await Promise.all(files.slice(from, from + AT_ONCE).map((file) => recordOf(file, names)))));
  return records;
}

async function imagesUnder(folder: string): Promise<string[]> {
  const { files, folders } = await readFolder(folder);
  const deeper = await Promise.all(folders.map((name) => imagesUnder(path.join(folder, name))));
  return [...files.filter(isImage).map((name) => path.join(folder, name)), ...deeper.flat()];
}

async function listedImages(list: string, root: string): Promise<string[]> {
  const whole = path.resolve(root);
  return (await locatedLines(list)).map(({ text, place }) => {
    const found = [path.resolve(path.dirname(list), text), path.resolve(whole, text)].find(
      (each) => each.startsWith(whole + path.sep) && existsSync(each),
    );
    if (found !== undefined) return found;
    throw new OnnxLoraError('DATA_INVALID', `${place}: there is no image "${text}" in "${root}". Correct the path.`);
  });
}

async function recordOf(file: string, names: readonly string[]): Promise<ImageRecord> {
  const labels = labelFileOf(file);
  if (!existsSync(labels) || statSync(labels).size === 0) return { file, place: file, objects: [] };
  const size = await imageSizeOf(file);
  const objects = (await locatedLines(labels)).map(({ text, place }) => objectIn(text, place, names, size));
  return { file, place: labels, objects };
}

/** `labels/a.txt` of `images/a.jpg`; in one folder without `images`. */
function labelFileOf(file: string): string {
  const parts = file.split(path.sep);
  const at = parts.lastIndexOf('images');
  if (at >= 0) parts[at] = 'labels';
  return parts.join(path.sep).replace(/\.[^.]*$/, '.txt');
}

/** `class x y width height` in shares of the image, or `class x y x y x y …` of an outline. */
function objectIn(text: string, place: string, names: readonly string[], { width, height }: Size): ImageObject {
  const numbers = text.trim().split(/\s+/).map(Number);
  const [label = -1, ...rest] = numbers;
  const isOutline = rest.length > 4;
  if (!numbers.every(Number.isFinite) || rest.length < 4 || (isOutline && (rest.length % 2 !== 0 || rest.length < 6))) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${place}: "${text.slice(0, 60)}" is neither a box (class, center x, center y, width, height) nor an outline (class, x, y, x, y, x, y …). Correct the line.`,
    );
  }
  const category = names[label];
  if (category === undefined) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${place}: the class is ${label}, and data.yaml names ${names.length} classes, 0 to ${names.length - 1}. Correct one of them.`,
    );
  }
  if (isOutline) return { category, shape: { kind: 'polygons', rings: [rest.map((each, i) => each * (i % 2 === 0 ? width : height))] } }; // prettier-ignore
  const [x, y, w, h] = rest as [number, number, number, number];
  if (!(w > 0 && h > 0)) return { category };
  return { category, box: [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height] };
}
