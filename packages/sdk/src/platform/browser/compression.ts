/** @file Compression in zlib's format on a page. */

export { zlibSync as deflateSync } from 'fflate';
