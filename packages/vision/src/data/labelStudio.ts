/** @file Exports of Label Studio: boxes and outlines in percent of the image, as JSON or JSON-MIN. */

import { basename, dirname, existsSync, join } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { fileInside, isObject, type JsonObject } from '@onnx-lora/sdk/data';
import type { ImageDataOptions, ImageObject, ImageRecord } from './imageRecord.ts';
import { boxFrom } from './manifest.ts';

/** Kinds of labels that are places in an image, and the field that names their classes. */
const kinds = ['rectanglelabels', 'polygonlabels'] as const;

/** True for a parsed export of images. */
export function isLabelStudio(json: unknown): json is readonly JsonObject[] {
  if (!Array.isArray(json) || json.length === 0) return false;
  return json.every((task) => isObject(task) && (isWhole(task) || regionsOf(task).length > 0 || isBare(task)));
}

function isWhole(task: JsonObject): boolean {
  return Array.isArray(task['annotations']) && isObject(task['data']);
}

/** A task of JSON-MIN without labels: fields of Label Studio's own, and a picture. */
function isBare(task: JsonObject): boolean {
  return 'annotation_id' in task && pathOf(task) !== undefined;
}

/** JSON-MIN has a row for each annotation of a task, the newest first: leaves out the others. */
function newest(tasks: readonly JsonObject[]): readonly JsonObject[] {
  const seen = new Set<unknown>();
  return tasks.filter((task) => {
    const id = task['id'];
    if (isWhole(task) || id === undefined) return true;
    const isFirst = !seen.has(id);
    seen.add(id);
    return isFirst;
  });
}

/** Regions of JSON-MIN: lists of objects that know the image's size. */
function regionsOf(task: JsonObject): JsonObject[] {
  return Object.values(task).flatMap((value) =>
    Array.isArray(value) ? value.filter((each): each is JsonObject => isObject(each) && 'original_width' in each) : [],
  );
}

/**
 * A record per image, with the objects of its first annotation that was not cancelled; in JSON-MIN of its newest. Images are looked for beside the
 * file and in `images`, also without the prefix that an upload got.
 * @throws OnnxLoraError `DATA_INVALID`, naming the task and the region
 */
export function labelStudioRecords(
  tasks: readonly JsonObject[],
  file: string,
  options: ImageDataOptions,
): ImageRecord[] {
  const folder = options.imageFolder ?? dirname(file);
  return newest(tasks).map((task, i) => {
    const place = `${file}, task ${typeof task['id'] === 'number' ? task['id'] : i + 1}`;
    const source = isWhole(task) ? (task['data'] as JsonObject) : task;
    const path = pathOf(source);
    if (path === undefined)
      throw new OnnxLoraError('DATA_INVALID', `${place}: no field names an image. Export a project of images.`);
    const objects = isWhole(task) ? wholeRegions(task['annotations'] as unknown[]) : regionsOf(task);
    return {
      file: imageAt(folder, path, place),
      place,
      objects: objects.flatMap((region, k) => objectOf(region, `${place}, region ${k + 1}`) ?? []),
    };
  });
}

/** Results of the first annotation that stands, each with the size of its image. */
function wholeRegions(annotations: readonly unknown[]): JsonObject[] {
  const [first] = annotations.filter((each): each is JsonObject => isObject(each) && each['was_cancelled'] !== true);
  const result = first?.['result'];
  return (Array.isArray(result) ? result : []).flatMap((each: unknown) =>
    isObject(each) && isObject(each['value'])
      ? [{ original_width: each['original_width'], original_height: each['original_height'], ...each['value'] }]
      : [],
  );
}

/** The image of a task: the first text that ends as an image does. */
function pathOf(fields: JsonObject): string | undefined {
  const named = ['image', ...Object.keys(fields)].map((name) => fields[name]);
  return named.find((each): each is string => typeof each === 'string' && /\.(jpe?g|png|webp|bmp|tiff?|gif|avif)$/i.test(each.split('?').at(-1)!)); // prettier-ignore
}

/** `/data/upload/3/1f2e3d4c-cat.jpg` and `/data/local-files/?d=photos/cat.jpg` are `cat.jpg`, or as they are. */
function imageAt(folder: string, path: string, place: string): string {
  const local = decodeURIComponent(/[?&]d=([^&]+)/.exec(path)?.[1] ?? path);
  const name = basename(local);
  const names = [local.replace(/^\/+/, ''), name, name.replace(/^[0-9a-f]{8}-/, '')];
  const places = names.flatMap((each) => [each, join('images', each)]);
  const inside = places.filter((each) => !/^[a-z][a-z0-9+.-]*:/i.test(each));
  const found = inside.find((each) => existsSync(join(folder, each)) && !each.split(/[\\/]/).includes('..'));
  return fileInside(folder, found ?? name, place, 'imageFolder');
}

/** An object; undefined for regions that are no places, and boxes without an extent. */
function objectOf(region: JsonObject, place: string): ImageObject | undefined {
  const names = kinds.map((kind) => region[kind]).find(Array.isArray) as unknown[] | undefined;
  if (!names) return undefined;
  const [width, height] = [region['original_width'], region['original_height']];
  const [category] = names;
  if (typeof category !== 'string') throw refused(place, 'it has no label');
  if (typeof width !== 'number' || typeof height !== 'number')
    throw refused(place, '"original_width" and "original_height" must be numbers');
  const pixels = (share: unknown, size: number): number => (typeof share === 'number' ? (share / 100) * size : NaN);
  const { points } = region;
  if (Array.isArray(points)) {
    const ring = points.flatMap((point: unknown) =>
      Array.isArray(point) ? [pixels(point[0], width), pixels(point[1], height)] : [NaN],
    );
    if (ring.length < 6 || !ring.every(Number.isFinite)) throw refused(place, '"points" must be three pairs or more');
    return { category, shape: { kind: 'polygons', rings: [ring] } };
  }
  if (typeof region['rotation'] === 'number' && region['rotation'] !== 0)
    return { category, shape: { kind: 'polygons', rings: [rotated(region, width, height, place)] } };
  const numbers = [pixels(region['x'], width), pixels(region['y'], height), pixels(region['width'], width), pixels(region['height'], height)]; // prettier-ignore
  if (!numbers.every(Number.isFinite)) throw refused(place, '"x", "y", "width" and "height" must be numbers');
  const box = boxFrom(numbers, true);
  return { category, ...(box ? { box } : {}) };
}

/** The corners of a box that is turned clockwise around its upper left one. */
function rotated(region: JsonObject, width: number, height: number, place: string): number[] {
  const [x, y, w, h, turn] = ['x', 'y', 'width', 'height', 'rotation'].map((name) => region[name]) as number[];
  const angle = (turn! * Math.PI) / 180;
  const corners = [[0, 0], [w!, 0], [w!, h!], [0, h!]].map(([a, b]) => [(a! / 100) * width, (b! / 100) * height] as const); // prettier-ignore
  const ring = corners.flatMap(([a, b]) => [
    (x! / 100) * width + a * Math.cos(angle) - b * Math.sin(angle),
    (y! / 100) * height + a * Math.sin(angle) + b * Math.cos(angle),
  ]);
  if (ring.every(Number.isFinite)) return ring;
  throw refused(place, '"x", "y", "width" and "height" must be numbers');
}

function refused(place: string, problem: string): OnnxLoraError {
  return new OnnxLoraError('DATA_INVALID', `${place}: ${problem}. Export the project again.`);
}
