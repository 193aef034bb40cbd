/** @file XML files of annotations. */

import type { XmlElement } from '@rgrove/parse-xml';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { readText } from '@onnx-lora/sdk/data';

export type { XmlElement };

/** Bytes of an XML file: some hundred for each object. */
const MOST_XML = 256 << 20;

/** The outermost element of a file. @throws OnnxLoraError `DATA_INVALID` for a file that is no XML, or too large */
export async function xmlElement(file: string, most: number = MOST_XML): Promise<XmlElement> {
  const text = await readText(file, most);
  // Few data have XML.
  const { parseXml } = await import('@rgrove/parse-xml');
  try {
    const { root } = parseXml(text);
    if (root) return root;
  } catch (cause) {
    throw new OnnxLoraError('DATA_INVALID', `"${file}" is not valid XML: ${(cause as Error).message.split('\n')[0]}. Correct it.`, { cause }); // prettier-ignore
  }
  throw new OnnxLoraError('DATA_INVALID', `"${file}" is empty. Take it out.`);
}

/** The elements of a name inside of another. */
export function childrenOf({ children }: XmlElement, name: string): XmlElement[] {
  return children.filter((each): each is XmlElement => each.type === 'element' && (each as XmlElement).name === name);
}
