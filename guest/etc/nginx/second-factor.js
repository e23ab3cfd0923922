// Runs in the browser, on the page /second-factor: signs the user out and notes the wish, which
// Open WebUI reads at the next sign-in (guest/etc/ollamazure/open-webui/sitecustomize.py).
document.getElementById("start").addEventListener("click", async () => {
    const token = localStorage.getItem("token");
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    await fetch("/api/v1/auths/signout", { method: "POST", headers: headers });
    localStorage.removeItem("token");
    document.cookie = "second_factor=wanted; Path=/; Max-Age=600; Secure; SameSite=Lax";
    location.assign("/auth");
});
