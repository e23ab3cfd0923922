// Nginx's own pages and messages, in the language that the browser prefers of those in texts.json.
import fs from "fs";

const FOLDER = "/etc/nginx";

function textsFor(request) {
    const known = JSON.parse(fs.readFileSync(`${FOLDER}/texts.json`, "utf8"));
    const languages = Object.keys(known.languages);
    const accepted = (request.headersIn["Accept-Language"] || "").split(",").map(languageRange)
        .filter((range) => range.weight > 0 && languages.includes(range.language))
        .sort((first, second) => second.weight - first.weight);
    const language = accepted.length ? accepted[0].language : known.default;
    const texts = known.languages[language];
    texts.language = language;
    return texts;
}

// A part of the header, such as "de-CH;q=0.8". One that is not valid counts for nothing.
function languageRange(part) {
    const pieces = part.trim().toLowerCase().split(";");
    const weight = pieces.length === 1 ? 1 : Number(pieces[1].trim().replace("q=", ""));
    return { language: pieces[0].split("-")[0], weight: weight };
}

// The page NAME.html with its {words}: first `values`, then the texts.
function page(name, texts, values) {
    const html = fs.readFileSync(`${FOLDER}/${name}.html`, "utf8");
    const words = Object.assign({}, texts, values);
    return html.replace(/{(\w+)}/g, (all, word) => words[word]);
}

function secondFactor(request) {
    request.headersOut["Content-Type"] = "text/html";
    request.return(200, page("second-factor", textsFor(request), {}));
}

export default { page, secondFactor, textsFor };
