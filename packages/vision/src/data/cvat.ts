/** @file CVAT's own export, "CVAT for images": one XML file of boxes and outlines. */

import { existsSync, path } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { fileInside, type FolderEntries, type Split, splitNames } from '@onnx-lora/sdk/data';
import type { ImageObject, ImageRecord } from './imageRecord.ts';
import { boxFrom } from './manifest.ts';
import { childrenOf, xmlElement, type XmlElement } from './xml.ts';

/**
 * Records of a folder with an `annotations.xml`; undefined without one. Images lie beside it, or in `images`.
 * @throws OnnxLoraError `DATA_INVALID`, naming the image and the object
 */
export async function cvatFolder(root: string, { files }: FolderEntries): Promise<ImageRecord[] | undefined> {
  const name = files.find((each) => /^annotations\.xml$/i.test(each));
  if (name === undefined) return undefined;
  const file = path.join(root, name);
  return cvatRecords(await xmlElement(file), file);
}

/** A record per image. @throws OnnxLoraError `DATA_INVALID` */
function cvatRecords(element: XmlElement, file: string): ImageRecord[] {
  if (element.name !== 'annotations') {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" has no <annotations>, so it is no export of CVAT. Export the task as "CVAT for images 1.1".`,
    );
  }
  const root = path.dirname(file);
  const images = childrenOf(element, 'image');
  if (images.length === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" has no <image>. Export the task as "CVAT for images 1.1", not for video.`,
    );
  }
  return images.map((image, i) => {
    const { name, subset = '' } = image.attributes;
    const place = `${file}, image ${image.attributes['id'] ?? i + 1}`;
    if (!name) throw refused(place, 'it has no name');
    const split = splitNames.get(subset.toLowerCase());
    const objects = image.children.filter(isElement).flatMap((each, k) => objectOf(each, `${place}, object ${k + 1}`) ?? []); // prettier-ignore
    return { file: imageAt(root, name, subset, place), place, objects, ...(split && { split: split satisfies Split }) };
  });
}

function isElement(child: { readonly type: string }): child is XmlElement {
  return child.type === 'element';
}

function imageAt(root: string, name: string, subset: string, place: string): string {
  const places = [name, path.join('images', name), path.join('images', subset, name), path.basename(name), path.join('images', path.basename(name))]; // prettier-ignore
  const found = places.find((each) => !each.split(/[\\/]/).includes('..') && existsSync(path.join(root, each)));
  return fileInside(root, found ?? name, place, 'imageFolder');
}

/** An object; undefined for other shapes, such as points and tags. */
function objectOf({ name, attributes }: XmlElement, place: string): ImageObject | undefined {
  if (name !== 'box' && name !== 'polygon') return undefined;
  const { label: category, points = '' } = attributes;
  if (!category) throw refused(place, 'it has no label');
  if (name === 'polygon') {
    const ring = points.split(/[;,]/).map((number) => (number.trim() === '' ? NaN : Number(number)));
    if (ring.length < 6 || ring.length % 2 !== 0 || !ring.every(Number.isFinite))
      throw refused(place, '"points" must be three pairs or more');
    return { category, shape: { kind: 'polygons', rings: [ring] } };
  }
  const [x0, y0, x1, y1, turn = 0] = ['xtl', 'ytl', 'xbr', 'ybr', 'rotation'].map((each) => (attributes[each] === undefined ? undefined : Number(attributes[each]))) as number[]; // prettier-ignore
  if (![x0, y0, x1, y1, turn].every(Number.isFinite))
    throw refused(place, '"xtl", "ytl", "xbr" and "ybr" must be numbers');
  if (turn !== 0) return { category, shape: { kind: 'polygons', rings: [turned([x0!, y0!, x1!, y1!], turn)] } };
  const box = boxFrom([x0, y0, x1, y1], false);
  return { category, ...(box ? { box } : {}) };
}

/** The corners of a box that is turned clockwise around its centre. */
function turned([x0, y0, x1, y1]: readonly [number, number, number, number], degrees: number): number[] {
  const [cx, cy] = [(x0 + x1) / 2, (y0 + y1) / 2];
  const angle = (degrees * Math.PI) / 180;
  return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]].flatMap(([x, y]) => [
    cx + (x! - cx) * Math.cos(angle) - (y! - cy) * Math.sin(angle),
    cy + (x! - cx) * Math.sin(angle) + (y! - cy) * Math.cos(angle),
  ]); // prettier-ignore
}

function refused(place: string, problem: string): OnnxLoraError {
  return new OnnxLoraError('DATA_INVALID', `${place}: ${problem}. Export the task again.`);
}
