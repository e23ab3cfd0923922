// Checks permissions that only the page of Open WebUI 0.12.4 respects. The application itself does
// everything that a program requests with a user's session, so Nginx checks them first.

// For auth_request: whether the user has the permission $needed, such as chat.file_upload.
// 204 yes, 403 no, 401 no user is signed in; any other status is an error of Open WebUI.
async function check(request) {
    const needed = request.variables.needed;
    if (needed === "") {
        request.return(204);
        return;
    }
    const session = await request.subrequest("/session");
    request.variables.session_status = session.status;
    request.return(session.status === 200 ? answer(session, needed) : session.status);
}

function answer(session, needed) {
    const user = JSON.parse(session.responseText);
    const path = needed.split(".");
    const branch = user.permissions[path[0]] || {};
    return user.role === "admin" || branch[path[1]] ? 204 : 403;
}

export default { check };
